"""Port: who issues certificates. The steps are RFC 8555's, so that each can be stored before the next is taken.

A caller stores an order's URL before it does anything else with it. Each method may be called again after
a crash: `finalize` with the same CSR on an order that is already processing or valid is no error and has no effect.
All raise `CaUnavailable` (retryable, with the CA's Retry-After), `CaRefused`, `AccountRefused`, `OrderInvalid`.
"""

from collections.abc import Callable
from typing import Literal, Protocol, runtime_checkable

from clients.challenges import Proof
from schemas.contract import Contract
from schemas.renewal_info import RenewalWindow
from schemas.revocations import RevocationReason


class Order(Contract):
    url: str
    status: Literal["pending", "ready", "processing", "valid", "invalid"]
    problem: str = ""
    replaces: bool = False
    """Whether the CA was told, and took it, which certificate this order replaces."""
    caa: tuple[str, ...] | None = None
    """The CA's names by which CAA records were looked up before it was placed; empty: they are not known, so none were.

    None of an order that was only read, and of an issuer that no CAA record is about.
    """


class Issuer(Protocol):
    name: str

    def place_order(self, names: tuple[str, ...]) -> Order: ...

    def order(self, url: str) -> Order: ...

    def prove_control(self, url: str, beat: Callable[[], None]) -> Order:
        """Publish what the CA wants to see, wait until it has seen it, take it away; returns a ready order.

        `beat` is called at least every few seconds. An order that is past `pending` is returned as it is.
        """

    def finalize(self, url: str, csr: bytes, beat: Callable[[], None]) -> Order:
        """Send the CSR (DER) if the order is ready; wait until it is valid."""

    def certificate(self, url: str) -> bytes:
        """The issued chain of a valid order, PEM, leaf first."""

    def revoke(self, chain: bytes, reason: RevocationReason) -> None:
        """Revoke the leaf of this PEM chain; one that is revoked already is no error."""

    def trust_anchors(self) -> bytes:
        """PEM roots that its certificates chain to."""


@runtime_checkable
class ShowsProofs(Protocol):
    """An issuer whose CA wants to see proofs, which are taken away again whatever becomes of the order."""

    def prove_control(
        self, url: str, beat: Callable[[], None], keep: Callable[[tuple[Proof, ...]], None] | None = None
    ) -> Order:
        """As an `Issuer` does it. `keep` is told what will be published, before any of it is.

        Where it fails nothing stays published, but with `keep`: what the CA may be about to look at then stays for the
        next attempt, which shows it again, and whoever gives the order up withdraws what was kept.
        """

    def withdraw(self, proofs: tuple[Proof, ...]) -> None:
        """Take these away where they are still there; asks no CA. What can't be done now is told in the log."""


@runtime_checkable
class SuggestsRenewal(Protocol):
    """An issuer whose CA says when each certificate is to be renewed (RFC 9773)."""

    def renewal_info(self, chain: bytes) -> RenewalWindow | None:
        """The window of the leaf of this PEM chain; None if the CA offers none, or does not know the certificate.

        Raises `CaUnavailable` when it could not be asked: then our own policy counts (`rules.renewal_info`).
        """

    def place_replacement(self, names: tuple[str, ...], replaced: bytes) -> Order:
        """As `place_order`, naming the leaf of this PEM chain as replaced where the CA knows it and hears of it."""


@runtime_checkable
class ServesLists(Protocol):
    """An issuer that can be asked for the revocation lists that it signs."""

    def crl_at(self, url: str) -> bytes | None:
        """The list at one of its own addresses, DER; None for any other address. Raises `CaUnavailable`."""


@runtime_checkable
class RefreshesLists(Protocol):
    """An issuer whose revocation list nobody makes anew but us."""

    def refresh_lists(self) -> None:
        """Make its list anew where that is due; does nothing while it is not.

        Raises what its key store raises, and `CaUnavailable` where its folder can't be used.
        """


@runtime_checkable
class ChangesAccountKey(Protocol):
    """An issuer at which we have an account that is known by its key."""

    def change_account_key(self, new_pem: bytes) -> bool:
        """Give the account this key (PKCS#8 PEM). True if it was done now, False if it had been done before.

        Again, after a kill at any line, it finishes what was begun. Raises `AccountRefused`, `CaUnavailable`.
        """


@runtime_checkable
class Rehearses(Protocol):
    """An issuer that can try everything at a CA whose certificates nobody trusts."""

    def can_rehearse(self) -> bool:
        """Whether its settings name such a CA."""

    def rehearse(self, names: tuple[str, ...], csr: bytes, beat: Callable[[], None]) -> None:
        """Order, prove, finalize, check, and throw the certificate away.

        Raises what the order itself would raise, `CertificateRejected`, and `InvalidSettings` without a directory.
        """

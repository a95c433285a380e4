"""Port: who issues certificates. The steps are RFC 8555's, so that each can be stored before the next is taken.

A caller stores an order's URL before it does anything else with it. Each method may be called again after
a crash: `finalize` with the same CSR on an order that is already processing or valid is no error and has no effect.
All raise `CaUnavailable` (retryable, with the CA's Retry-After), `CaRefused`, `AccountRefused`, `OrderInvalid`.
"""

from collections.abc import Callable
from typing import Literal, Protocol

from schemas.contract import Contract
from schemas.revocations import RevocationReason


class Order(Contract):
    url: str
    status: Literal["pending", "ready", "processing", "valid", "invalid"]
    problem: str = ""


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

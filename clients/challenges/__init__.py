"""Port: how control of a name is shown to a CA.

The caller publishes every proof of an order, waits until each is visible, has the CA look, and withdraws them once
the CA has decided. Whatever a CA sent (a token) is checked before it becomes a file's name or a record.
All raise `DependencyUnavailable` (retryable) where they can't write, and `CaRefused` for what no CA may send.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Proof:
    """What a CA wants to see for one name."""

    name: str
    """A DNS name without `*.`, or an IP address."""
    token: str = ""
    key_authorization: str = ""
    """RFC 8555, 8.1; empty for dns-persist-01, as the token."""
    wildcard: bool = False
    account: str = ""
    """The account's URL; for dns-persist-01 alone, as what follows."""
    issuer_domains: tuple[str, ...] = ()
    """Domain names by which the CA knows itself, as in CAA records."""


class ChallengeSolver(Protocol):
    kind: str
    """The challenge's type: `http-01`, `tls-alpn-01`, `dns-01` or `dns-persist-01`."""

    def publish(self, proof: Proof) -> None:
        """Make it visible, atomically; doing it again is no error."""

    def await_visible(self, proof: Proof, beat: Callable[[], None]) -> None:
        """Return once the CA can see it, from wherever it looks; `beat` is called at least every few seconds.

        Raises `ChallengeNotVisible` (retryable) if that takes longer than the settings allow.
        """

    def withdraw(self, proof: Proof) -> None:
        """Take it away, and nothing else; no error if it is not there. What is made to last stays."""

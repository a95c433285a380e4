"""The port to the records of who may do what: the policy's versions, and which signed requests were used.

Nothing here is believed for standing here: who reads a version holds it against the chain of signatures that begins
with the digest in the settings (`activities.policies`).
"""

from collections.abc import Sequence
from typing import Protocol

from pydantic import PositiveInt

from rules.counters import Counted
from schemas.contract import Contract
from schemas.evidence import Entry
from schemas.policies import Signature
from schemas.principals import Sha256


class Installed(Contract):
    version: PositiveInt
    sha256: Sha256
    """Of `document`."""
    document: bytes
    """The exact bytes of the file, as they were signed."""
    signatures: tuple[Signature, ...] = ()


class PolicyRecords(Protocol):
    """Append only. Raises `EvidenceUnavailable` when the records can't be used: then nothing is allowed."""

    def versions(self) -> tuple[Installed, ...]:
        """Every version, the oldest first."""

    def install(self, installed: Installed, entry: Entry, counts: Sequence[Counted] = ()) -> bool:
        """Add a version, its evidence and its keys' counts in one transaction; whether this call did.

        Again with the same bytes: no effect. Raises `PolicyRefused` if there are other bytes under its number, or if
        a key that has signed seems to be a clone.
        """

    def used_by(self, nonce: str) -> str | None:
        """Who has taken it; None: nobody has."""

    def use(self, nonce: str, by: str, counted: Counted | None = None) -> bool:
        """Take a signed request for `by`; False if another has taken it before. Again by the same: True.

        `counted`: of a FIDO2 key, how often it has signed. Raises `NotAuthorized` if it seems to be a clone; then the
        request was not taken.
        """

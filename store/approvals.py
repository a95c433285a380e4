"""The port to the records of approvals: what was asked, who has said what, and what it was used for.

Everything is append only, and each row comes with its evidence in the same transaction. Nothing here is believed for
standing here: the gate (`activities.approving`) recomputes the digest and verifies each signature again.
"""

from datetime import datetime
from typing import Protocol

from rules.counters import Counted
from schemas.approvals import ApprovalRequest, Cast, OperationId, Tally, Vote
from schemas.contract import Contract
from schemas.principals import Sha256


class Use(Contract):
    """What an approval was used for."""

    operation: OperationId
    step: str
    """The first step that has begun an effect under it."""


class Approvals(Protocol):
    """Raises `EvidenceUnavailable` when the records can't be used: then nothing is approved."""

    def ask(self, request: ApprovalRequest, *, instead_of: Sha256 | None = None) -> ApprovalRequest:
        """Record the request and return it, or the newer one that another attempt has recorded meanwhile.

        `instead_of`: the digest of the operation's latest request, which this one makes void; None for the first.
        """

    def latest(self, operation: str) -> ApprovalRequest | None:
        """The one that holds: an operation's later request makes its earlier ones void."""

    def casts(self, digest: str) -> tuple[Cast, ...]:
        """In the order in which they were taken."""

    def cast(
        self, request: ApprovalRequest, vote: Vote, now: datetime, counted: Counted | None = None
    ) -> Tally:
        """Take a vote whose signature was verified, and count; the same vote again: no effect.

        `counted`: of a FIDO2 key, how often it has signed. Raises `VoteRefused` for one that can't count, or that
        seems to be a clone's.
        """

    def count(self, request: ApprovalRequest, now: datetime) -> Tally:
        """How it stands; that it has expired is recorded when it is first seen."""

    def used(self, digest: str) -> Use | None: ...

    def consume(self, request: ApprovalRequest, use: Use) -> Use:
        """Use it, once and for ever; returns its only use, which may be another's or an earlier attempt's."""

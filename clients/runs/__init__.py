"""The port to runs that are under way: what one activity tells the run of another subject, and whether it has ended.

It starts nothing, and carries a signed request without judging it.
"""

from typing import Protocol

from schemas.contract import Contract
from schemas.principals import SignedRequest


class Runs(Protocol):
    """Raises `DependencyUnavailable` when Temporal or the run's worker does not answer."""

    def tell(
        self, workflow_id: str, update: str, given: Contract, request: SignedRequest | None, once: str
    ) -> bool:
        """Send an open run this update; False if there is none, or if it refuses now.

        `once`: the same for each attempt at saying the same, which the run then hears once.
        """

    def is_open(self, workflow_id: str) -> bool:
        """Whether a run under this ID has begun and not ended."""

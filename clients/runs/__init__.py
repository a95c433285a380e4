"""The port to runs that are under way: what one activity tells the run of another subject, and whether it has ended.

It starts nothing, and carries a signed request without judging it.
"""

from typing import Protocol

from schemas.contract import Contract
from schemas.principals import SignedRequest


class Runs(Protocol):
    """Raises `DependencyUnavailable` when Temporal or the run's worker does not answer."""

    def tell(  # noqa: PLR0913, PLR0917 - an update is all of these
        self,
        run: str,
        workflow_id: str,
        update: str,
        given: Contract,
        request: SignedRequest | None,
        once: str,
    ) -> bool:
        """Send this very run this update; False if it has ended, or if it refuses now.

        `once`: the same for each attempt at saying the same, which the run then hears once.
        """

    def open_run(self, workflow_id: str) -> str | None:
        """The run ID of the run under this ID that has begun and not ended; None if none has."""

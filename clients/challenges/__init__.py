"""Port: how control of a name is shown to a CA."""

from typing import Protocol


class ChallengeSolver(Protocol):
    kind: str
    """RFC 8555's challenge type: `http-01`."""

    def publish(self, name: str, token: str, key_authorization: str) -> None:
        """Make it visible, atomically; doing it again is no error."""

    def withdraw(self, name: str, token: str) -> None:
        """Take it away; no error if it is not there."""

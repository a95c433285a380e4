"""Port: where secrets are when they are needed. References stand in settings; values live in memory only."""

from typing import Protocol


class SecretSource(Protocol):
    def resolve(self, reference: str) -> bytes:
        """The secret's bytes without a trailing newline, read anew at each call.

        Raises `InvalidReference` when the reference can't be followed (missing, empty, a file wider than 0600
        or a default value), `DependencyUnavailable` when a remote source does not answer. Never logs a value.
        """

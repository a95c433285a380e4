"""The port to the records of which operations have begun their effects, by which the policy's limits are counted."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from rules.limits import Begun
from schemas.limits import Limit


class Beginnings(Protocol):
    """Append only. Raises `EvidenceUnavailable` when the records can't be used: then nothing begins."""

    def has(self, operation: str) -> bool:
        """Whether the operation has begun its effects."""

    def begin(self, operation: str, one: Begun, limits: Sequence[Limit]) -> str:
        """Record that it begins, unless a limit leaves no room: why not, or "". Again: no effect, and "".

        Of two that begin at once, the second is counted against the first.
        """

    def seen(self, limits: Sequence[Limit], now: datetime) -> tuple[Begun, ...]:
        """What the limits may have to count now."""

"""Circuit breakers, as metrics, `doctor` and a worker's health show them: one a dependency (`rules.dependencies`)."""

from enum import StrEnum


class Phase(StrEnum):
    CLOSED = "closed"
    """Every call goes through."""
    HALF_OPEN = "half-open"
    """A few calls go through, to see whether it is well again; the others are refused."""
    OPEN = "open"
    """Every call is refused."""


LEVELS = {Phase.CLOSED: 0, Phase.HALF_OPEN: 1, Phase.OPEN: 2}
"""The gauge `redoubt_breaker_state`."""

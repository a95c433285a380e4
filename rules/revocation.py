"""When a revocation list counts.

Invariants: a list without an end, one that has ended and one that has not begun never count; a list is kept for no
longer than it is valid, and for no longer than we keep lists at all.
"""

from datetime import datetime, timedelta

CLOCK_SKEW = timedelta(minutes=5)
"""How far the issuer's clock may be ahead of ours."""


def why_not_current(this_update: datetime, next_update: datetime | None, now: datetime) -> str | None:
    """None if the list counts now; else what is wrong with it."""
    if next_update is None:
        return "its revocation list does not say when it ends"
    if now >= next_update:
        return f"its revocation list ended {next_update:%Y-%m-%d %H:%M} UTC"
    if this_update > now + CLOCK_SKEW:
        return f"its revocation list begins only {this_update:%Y-%m-%d %H:%M} UTC"
    return None


def kept_until(next_update: datetime, now: datetime, longest: timedelta) -> datetime:
    return min(next_update, now + longest)

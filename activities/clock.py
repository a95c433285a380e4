"""What time it is, where something is decided by it: an expiry, a grace, how long a step has been silent.

Nothing is decided by one machine's clock alone. Temporal's server says when this attempt was started; between that and
the attempt's time-out the worker's clock must lie, give or take `MOST_APART`. A worker whose clock is elsewhere decides
nothing: the step is tried again, by itself, and another worker takes it.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity

from schemas.errors import ClockWrong

MOST_APART: Final = timedelta(minutes=1)


def now() -> datetime:
    """In an activity. Raises `ClockWrong`, for the time before this attempt began or after it must have ended."""
    here, info = datetime.now(UTC), activity.info()
    latest = info.started_time + (info.start_to_close_timeout or timedelta()) + MOST_APART
    if not info.started_time - MOST_APART <= here <= latest:
        raise ClockWrong(
            f"This worker's clock says {here:%Y-%m-%d %H:%M:%S} UTC, and Temporal's server has started this attempt "
            f"at {info.started_time:%Y-%m-%d %H:%M:%S} UTC."
        )
    return here

"""What time it is, where something is decided by it: an expiry, a grace, how long a step has been silent.

Nothing is decided by one machine's clock alone. Temporal's server says when this attempt was started, and the worker
has measured how long ago it took it up (`running`): the worker's clock must say as much, give or take `MOST_APART`. A
worker whose clock is elsewhere decides nothing: the step is tried again, by itself, and another worker takes it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import activity

from schemas.errors import ClockWrong

MOST_APART: Final = timedelta(minutes=1)

_BEGAN: Final[ContextVar[float]] = ContextVar("began")


@contextmanager
def running() -> Iterator[None]:
    """Around an attempt, from its beginning to its end: by a clock that nobody sets."""
    began = _BEGAN.set(time.monotonic())
    try:
        yield
    finally:
        _BEGAN.reset(began)


def now() -> datetime:
    """In an activity that beats (`activities.beating`). Raises `ClockWrong`."""
    monotonic, here = time.monotonic(), datetime.now(UTC)
    started = activity.info().started_time
    since = timedelta(seconds=monotonic - _BEGAN.get(monotonic))
    if abs(here - started - since) > MOST_APART:
        raise ClockWrong(
            f"This worker's clock says {here:%Y-%m-%d %H:%M:%S} UTC, and Temporal's server has started this attempt "
            f"at {started:%Y-%m-%d %H:%M:%S} UTC, {since.total_seconds():.0f} s before."
        )
    return here

"""An activity that works beats, so that the death of its worker is noticed within seconds.

The beat comes from a thread of its own: an effect may block in a library that knows nothing of beats. What
bounds an effect that hangs is its start-to-close time-out.
"""

import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities import clock

EVERY_S = 2.0

P = ParamSpec("P")
T = TypeVar("T")


def beats(step: Callable[P, T]) -> Callable[P, T]:
    """Let a synchronous activity beat from its beginning to its end; stands below `activity.defn`."""

    @functools.wraps(step)
    def beaten(*given: P.args, **named: P.kwargs) -> T:
        try:
            with clock.running(), _beating():
                return step(*given, **named)
        except CancelledError:
            # The SDK is silent about it; who reads the log has to see that this attempt is over.
            activity.logger.warning(
                "this attempt was cut short: it was cancelled, or another has taken its place"
            )
            raise

    return beaten


@contextmanager
def _beating() -> Iterator[None]:
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(EVERY_S):
            activity.heartbeat()

    # The heartbeat finds its activity by a context variable, which a new thread doesn't inherit.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(beat,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

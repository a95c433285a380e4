"""Looking a name up within a time. The system's resolver can't be cut off, so it works in a thread of its own.

A thread that is late is left to end by itself (it takes the system's own time, half a minute or so), and its answer
is dropped. So many at once, and whoever finds no place has not resolved in time either.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

T = TypeVar("T")

_AT_ONCE: Final = 32
_places = threading.BoundedSemaphore(_AT_ONCE)


def within(seconds: float, look_up: Callable[[], T]) -> T:
    """What `look_up` returns or raises. Raises `TimeoutError`."""
    if not _places.acquire(blocking=False):
        raise TimeoutError
    answer = Future[T]()
    threading.Thread(target=_looked_up, args=(look_up, answer), name="name lookup", daemon=True).start()
    return answer.result(seconds)


def _looked_up(look_up: Callable[[], T], answer: Future[T]) -> None:
    try:
        answer.set_result(look_up())
    except Exception as error:  # noqa: BLE001 - handed to whoever waits
        answer.set_exception(error)
    finally:
        _places.release()

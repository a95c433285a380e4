"""A value is made when it is first asked for, once, however many threads ask at the same time.

One lock a set: what is being made may ask the same set for something else (an issuer for its key store), so
the lock is re-entrant. A failure is not kept: the next to ask tries again.
"""

import threading
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

T = TypeVar("T")


class Once:
    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._made: dict[Hashable, object] = {}

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key not in self._made:
                self._made[key] = make()
            return cast("T", self._made[key])

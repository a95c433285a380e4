"""Locks on files, which other processes see and the kernel drops with their holder.

Whoever waits gives up in the end: a process that was stopped (and not ended) must not stop all others for good.
"""

import fcntl
import time
from typing import Final

_LOOK_EVERY_S: Final = 0.01


def lock(descriptor: int, within_s: float, otherwise: Exception) -> None:
    """Hold the lock until the descriptor is closed. Raises `otherwise` if another process does not leave in time."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise otherwise from None
            time.sleep(_LOOK_EVERY_S)
        else:
            return

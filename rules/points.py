"""Named points at which a crash test kills the process: `reached("order.placed")`.

A point stands between two lines that touch the world. It does nothing unless the environment names it: then
the process writes a marker file and stops, so that the harness can SIGKILL it from outside at exactly this
line and look at what is left. `NAME:2` stops at the second time, `NAME@WHAT` only where the point is about WHAT.
This is the one place in `rules` with I/O.
"""

import os
import signal
import threading
from pathlib import Path

POINT = "REDOUBT_CRASH_POINT"
MARKER = "REDOUBT_CRASH_MARKER"

_wanted, _, _times = os.environ.get(POINT, "").partition(":")
_left = int(_times or 1)


def reached(point: str, about: str = "") -> None:
    """Stop here, for good, if the crash test wants this point; else go on."""
    global _left  # noqa: PLW0603 - counts how often this process came here
    if _wanted not in {point, f"{point}@{about}"}:
        return
    _left -= 1
    if _left == 0:
        Path(os.environ[MARKER]).write_text(f"{point} {os.getpid()}\n", encoding="ascii")
        # To this very thread: a signal to the process may stop another one first, and this one would go on a while.
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

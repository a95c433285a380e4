"""A process that is held still, as one that hangs: the kernel takes connections for it, and nobody answers."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli.dev.process import Child

_WITHIN_S = 30.0


@contextmanager
def frozen(child: Child) -> Iterator[None]:
    """From the first line on none of its threads runs; afterwards it goes on."""
    child.signal(signal.SIGSTOP)
    try:
        deadline = time.monotonic() + _WITHIN_S
        while not _stands_still(child.pid):
            assert time.monotonic() < deadline, f"{child.name} does not stand still"
            time.sleep(0.01)
        yield
    finally:
        child.signal(signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    """A signal has been sent when `kill` returns, and not yet been heeded by every thread."""
    states = (
        one.read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[0]
        for one in Path(f"/proc/{pid}/task").glob("*/stat")
    )
    return all(state == "T" for state in states)

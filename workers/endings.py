"""What a process gives back before it ends: its log-ins, and the spans that it has not sent yet.

Our processes leave by `os._exit` (docs/adr/0004), which runs no exit handler: whoever ends one in order asks for this.
- All is done side by side, and none keeps the process for longer than a moment: what hangs is left.
- It may be done again: what was begun after the first time is ended, too.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Final

EACH_S: Final = 5.0

_log = logging.getLogger(__name__)
End = tuple[str, Callable[[], object]]
_begun: Final[list[End]] = []
"""All of this process."""


class Endings:
    def __init__(self) -> None:
        self._begun: list[End] = []

    def add(self, name: str, end: Callable[[], object]) -> None:
        """`end` may be called more than once."""
        self._begun.append((name, end))
        _begun.append((name, end))

    def run(self) -> None:
        _side_by_side(self._begun)


def end_all() -> None:
    """Of this process, whoever has begun it."""
    _side_by_side(_begun)


def _side_by_side(ends: Iterable[End]) -> None:
    threads = [threading.Thread(target=_end, args=one, name=one[0], daemon=True) for one in tuple(ends)]
    for thread in threads:
        thread.start()
    until = time.monotonic() + EACH_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            _log.warning("%s: not ended in time, the process leaves without it", thread.name)


def _end(name: str, end: Callable[[], object]) -> None:
    try:
        end()
    except Exception as error:  # noqa: BLE001 - the process ends all the same
        _log.warning("%s: not ended: %s", name, type(error).__name__)

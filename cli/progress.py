"""Progress of several things at once, on stderr: live lines on a terminal, a line now and then elsewhere.

What takes less than two seconds says nothing. Callers may report from any thread.
"""

import sys
import threading
import time
from types import TracebackType
from typing import Protocol, Self

from cli.output import clean, say

_QUIET_S = 2.0
_EVERY_S = 15.0


class Steps(Protocol):
    """Things under way, by name."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def doing(self, name: str, what: str) -> None:
        """`name` is under way, and this is being done."""

    def ended(self, name: str, message: str = "") -> None:
        """`name` is over; the message stays on the screen."""


def steps() -> Steps:
    return _Live() if sys.stderr.isatty() else _Plain()


class _Plain:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}
        self._what: dict[str, str] = {}
        self._told: dict[str, float] = {}
        self._over = threading.Event()
        self._clock = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._clock.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._clock.join()

    def doing(self, name: str, what: str) -> None:
        with self._lock:
            self._began.setdefault(name, time.monotonic())
            self._what[name] = what

    def ended(self, name: str, message: str = "") -> None:
        with self._lock:
            for known in (self._began, self._what, self._told):
                known.pop(name, None)
            if message:
                say(message)

    def _tick(self) -> None:
        while not self._over.wait(0.5):
            with self._lock:
                self.tell(time.monotonic())

    def tell(self, now: float) -> None:
        """Say a line for each thing that has been silent for long enough."""
        for name, began in self._began.items():
            silent = now - self._told.get(name, now - _EVERY_S)
            if now - began >= _QUIET_S and silent >= _EVERY_S:
                self._told[name] = now
                say(f"{name}: {self._what[name]} ({now - began:.0f} s)")


class _Live:
    def __init__(self) -> None:
        from rich.console import Console  # noqa: PLC0415  # only a terminal pays for it
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        self._bars = Progress(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, int] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def doing(self, name: str, what: str) -> None:
        text = clean(f"{name}: {what}")
        with self._lock:
            if name in self._tasks:
                self._bars.update(self._tasks[name], description=text)  # type: ignore[arg-type]  # rich's TaskID is an int
            else:
                self._tasks[name] = self._bars.add_task(text, total=None)

    def ended(self, name: str, message: str = "") -> None:
        with self._lock:
            task = self._tasks.pop(name, None)
            if task is not None:
                self._bars.remove_task(task)  # type: ignore[arg-type]  # rich's TaskID is an int
        if message:
            self._bars.console.print(clean(message), markup=False, highlight=False)

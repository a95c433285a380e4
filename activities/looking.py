"""Many subjects looked at side by side: so many at once, each for so long, and all of them by then.

Rules and invariants:
- Each subject has an answer, in the order given: what its look returned, or the error of ours that it raised. One
  that took too long, or whose turn did not come in time, has `TargetUnreachable`.
- What hangs keeps nobody waiting: its place goes to the next. Its thread is left to end by itself (a client gives up
  in the end), and what it still brings is not heard. So a look has no effect, or one that a fence stops.
- A look stands in the context of who asked: one of an activity can beat, log and read its run.
- Who is cancelled waits for nobody.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar

from schemas.errors import DependencyOpen, RedoubtError, TargetUnreachable

S = TypeVar("S")
T = TypeVar("T")

_SLICE_S: Final = 0.5
"""Who waits looks up this often, so that an activity that is cancelled ends soon."""
_NAMED: Final = 20
"""Subjects that one error names; of the others it says how many they are."""


@dataclass(frozen=True)
class Looks:
    """How targets are looked at, in planning, closing, revoking and for people."""

    at_once: int = 8
    each_s: float = 60.0
    all_s: float = 300.0

    def at(self, subjects: Mapping[str, S], look: Callable[[S], T]) -> dict[str, T | RedoubtError]:
        """Each subject's answer by its name. What is no error of ours is raised."""
        answers = _Round(self, look, deque(subjects.items())).whole()
        return {name: answers[name] for name in subjects}


def seen(answers: Mapping[str, T | RedoubtError]) -> dict[str, T]:
    """The answers, if each is one. Raises one error for all that are none: of a kind that is not tried again first."""
    errors = {name: one for name, one in answers.items() if isinstance(one, RedoubtError)}
    if errors:
        raise _together(errors, len(answers))
    return {name: one for name, one in answers.items() if not isinstance(one, RedoubtError)}


def _together(errors: Mapping[str, RedoubtError], asked: int) -> RedoubtError:
    # A dependency that is left alone for a while says least: only where that is all that is wrong.
    worst = min(errors.values(), key=lambda one: (one.type.retryable, isinstance(one, DependencyOpen)))
    if len(errors) == 1:
        return worst
    named, more = list(errors)[:_NAMED], len(errors) - _NAMED
    which = ", ".join(named) + (f" and {more} more" if more > 0 else "")
    return type(worst)(
        f"{len(errors)} of {asked} could not be looked at ({which}); the first: {worst.in_full}",
        retry_after_s=worst.retry_after_s,
    )


@dataclass
class _Round(Generic[S, T]):
    limits: Looks
    look: Callable[[S], T]
    waiting: deque[tuple[str, S]]
    under_way: dict[str, float] = field(default_factory=dict)
    """Name to the moment at which it is given up."""
    ended: SimpleQueue[tuple[str, T | BaseException]] = field(default_factory=SimpleQueue)
    answers: dict[str, T | RedoubtError] = field(default_factory=dict)

    def whole(self) -> dict[str, T | RedoubtError]:
        end = time.monotonic() + self.limits.all_s
        while self.waiting or self.under_way:
            while self.waiting and len(self.under_way) < self.limits.at_once and time.monotonic() < end:
                name, subject = self.waiting.popleft()
                self.under_way[name] = min(time.monotonic() + self.limits.each_s, end)
                self._begin(name, subject)
            self._hear_all()
            self._give_up(time.monotonic(), end)
        return self.answers

    def _begin(self, name: str, subject: S) -> None:
        def run() -> None:
            try:
                self.ended.put((name, self.look(subject)))
            except BaseException as error:  # noqa: BLE001 - raised again by who asked
                self.ended.put((name, error))

        # A new thread inherits no context, and the activity stands in it.
        threading.Thread(target=copy_context().run, args=(run,), name=f"look-{name}", daemon=True).start()

    def _hear_all(self) -> None:
        """The next answer, and every other that is there: what has come in time is not given up."""
        try:
            self._hear(*self.ended.get(timeout=_SLICE_S))
            while True:
                self._hear(*self.ended.get_nowait())
        except Empty:
            return

    def _hear(self, name: str, answer: T | BaseException) -> None:
        if self.under_way.pop(name, None) is None:
            return
        if isinstance(answer, BaseException) and not isinstance(answer, RedoubtError):
            raise answer
        self.answers[name] = answer

    def _give_up(self, now: float, end: float) -> None:
        for name in [name for name, until in self.under_way.items() if now >= until]:
            del self.under_way[name]
            self.answers[name] = TargetUnreachable(f"{name} did not answer in time.")
        if now >= end:
            for name, _ in self.waiting:
                self.answers[name] = TargetUnreachable(
                    f"{name} was not looked at: its turn did not come within {self.limits.all_s:g} s."
                )
            self.waiting.clear()

"""One breaker a dependency, shared by every thread of the process, and the set of them that metrics read.

A lock is held while the state changes, never during a call: calls go side by side.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from rules.breakers import State, Verdict, asked, ended, phase_at, verdict_of
from schemas.breakers import Phase
from schemas.errors import DependencyOpen, RedoubtError
from schemas.settings.dependencies import BreakerSettings

T = TypeVar("T")
Clock = Callable[[], float]
"""Seconds that never go back."""

_log = structlog.get_logger("clients.breakers")


@dataclass(frozen=True)
class Standing:
    """What one breaker is now, and how many calls it has refused since the process began."""

    name: str
    phase: Phase
    refused: int


class Breaker:
    def __init__(self, name: str, given: BreakerSettings, clock: Clock = time.monotonic) -> None:
        self.name: Final = name
        self._given = given
        self._clock = clock
        self._lock = threading.Lock()
        self._state = State()
        self._refused = 0
        self._calls = threading.local()

    def call(self, do: Callable[[], T], away: type[RedoubtError] = RedoubtError) -> T:
        """What `do` returns or raises; raises `DependencyOpen` instead of doing it while the breaker is open.

        `away` is the error that counts as a failure of this dependency, with its special cases.
        A call within a call is part of it: a Vault that issues may be asked for a secret meanwhile.
        """
        if getattr(self._calls, "inside", False):
            return do()
        turn, verdict = self._let_through(), Verdict.NOTHING
        self._calls.inside = True
        try:
            result = do()
            verdict = Verdict.WORKED
        except RedoubtError as error:
            verdict = verdict_of(error, away)
            raise
        finally:
            self._calls.inside = False
            with self._lock:
                self._become(ended(self._state, turn, verdict, self._clock(), self._given))
        return result

    def standing(self) -> Standing:
        with self._lock:
            return Standing(self.name, phase_at(self._state, self._clock()), self._refused)

    def _let_through(self) -> int:
        with self._lock:
            state, wait = asked(self._state, self._clock(), self._given)
            self._become(state)
            self._refused += wait is not None
        if wait is not None:
            left = math.ceil(wait)
            words = f"{self.name} has failed repeatedly, so it is left alone for {left} s more."
            raise DependencyOpen(words, retry_after_s=max(wait, 0.1))
        return state.turn

    def _become(self, state: State) -> None:
        """Under the lock; the log's writer never waits."""
        before, self._state = self._state, state
        if before.phase is not state.phase:
            tell = _log.warning if state.phase is Phase.OPEN else _log.info
            tell("breaker", dependency=self.name, phase=str(state.phase), was=str(before.phase))


class Breakers:
    """The breakers of a process, each made when its dependency is first wired."""

    def __init__(self, given: BreakerSettings, clock: Clock = time.monotonic) -> None:
        self._given = given
        self._clock = clock
        self._lock = threading.Lock()
        self._breakers: dict[str, Breaker] = {}

    def of(self, name: str) -> Breaker:
        with self._lock:
            return self._breakers.setdefault(name, Breaker(name, self._given, self._clock))

    def standings(self) -> list[Standing]:
        with self._lock:
            breakers = list(self._breakers.values())
        return sorted((one.standing() for one in breakers), key=lambda standing: standing.name)

"""When a dependency that fails is left alone: a circuit breaker as a pure state machine, time given in.

Invariants, in every order of calls and results:
- Closed until `failures` calls in a row have failed; one that worked starts the count anew.
- Open for `open_s`, and nothing is let through meanwhile; then half-open.
- Half-open lets at most `probes` calls through; all of them must work for it to close, one that fails opens it anew.
- A result counts only in the turn in which its call was let through: what began before the state changed says
  nothing about the dependency of now.
- Probes whose results never come don't hold it half-open: after `open_s` a new turn of probes begins.

Only an error by which its port says that the dependency does not work counts as its failure. One that it gave as its
answer (the CA refuses the names) shows that it works; any other says nothing about it: a name server that is behind,
or a Vault that holds a key, is no failure of the CA or the host that it was needed for.
"""

from dataclasses import dataclass, replace
from enum import Enum

from schemas.breakers import Phase
from schemas.errors import CaRateLimited, Category, DependencyOpen, RedoubtError
from schemas.settings.dependencies import BreakerSettings

PROBE_PAUSE_S = 5.0
"""When to ask again while the probes are under way: their results may come any time."""


_SAYS_NOTHING = {DependencyOpen.code, CaRateLimited.code}
"""A CA's limit may be one for some names only: those of others must not wait for it."""


class Verdict(Enum):
    WORKED = "worked"
    FAILED = "failed"
    NOTHING = "says nothing"


@dataclass(frozen=True)
class State:
    phase: Phase = Phase.CLOSED
    turn: int = 0
    """Grows with each change of phase."""
    failures: int = 0
    """In a row, while closed."""
    until: float = 0.0
    """Open: when it half-opens. Half-open: when probes without a result are given up."""
    probes: int = 0
    """Half-open: how many were let through."""
    worked: int = 0
    """Half-open: how many of them have worked."""


def asked(state: State, now: float, given: BreakerSettings) -> tuple[State, float | None]:
    """What becomes of a call that is about to be made: None lets it through, else seconds to wait."""
    if state.phase is Phase.CLOSED:
        return state, None
    if now >= state.until:
        return State(Phase.HALF_OPEN, state.turn + 1, until=now + given.open_s, probes=1), None
    if state.phase is Phase.OPEN:
        return state, state.until - now
    if state.probes < given.probes:
        return replace(state, probes=state.probes + 1), None
    return state, min(PROBE_PAUSE_S, state.until - now)


def ended(state: State, turn: int, verdict: Verdict, now: float, given: BreakerSettings) -> State:
    """After a call that was let through in this turn."""
    if turn != state.turn or state.phase is Phase.OPEN:
        return state
    if verdict is Verdict.FAILED:
        return _failed(state, now, given)
    if verdict is Verdict.WORKED:
        return _worked(state, given)
    return state if state.phase is Phase.CLOSED else replace(state, probes=state.probes - 1)


def phase_at(state: State, now: float) -> Phase:
    """As a person should see it: an open one whose time is over would let the next call through."""
    over = state.phase is Phase.OPEN and now >= state.until
    return Phase.HALF_OPEN if over else state.phase


def verdict_of(error: RedoubtError, away: type[RedoubtError]) -> Verdict:
    """`away`: what the dependency's port raises where it does not work."""
    if error.type.category is not Category.DEPENDENCY or error.code in _SAYS_NOTHING:
        return Verdict.NOTHING
    if not error.type.retryable:
        return Verdict.WORKED
    return Verdict.FAILED if isinstance(error, away) else Verdict.NOTHING


def _failed(state: State, now: float, given: BreakerSettings) -> State:
    failures = state.failures + 1
    if state.phase is Phase.CLOSED and failures < given.failures:
        return replace(state, failures=failures)
    return State(Phase.OPEN, state.turn + 1, until=now + given.open_s)


def _worked(state: State, given: BreakerSettings) -> State:
    if state.phase is Phase.CLOSED:
        return replace(state, failures=0)
    if state.worked + 1 < given.probes:
        return replace(state, worked=state.worked + 1)
    return State(turn=state.turn + 1)

"""The breaker as a machine: whatever is asked, ends and passes in whatever order, its invariants hold."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from rules.breakers import PROBE_PAUSE_S, State, Verdict, asked, ended, phase_at, verdict_of
from schemas import errors
from schemas.breakers import Phase
from schemas.errors import (
    CATALOGUE,
    Category,
    CaUnavailable,
    KeyStoreUnavailable,
    RedoubtError,
    TargetUnreachable,
)
from schemas.settings.dependencies import BreakerSettings

DEFAULT = BreakerSettings()


class Breaking(RuleBasedStateMachine):
    """Calls are begun, end in any order or never, and time goes on; a plain account is kept beside the machine."""

    calls = Bundle("calls")

    @initialize(failures=st.integers(1, 6), probes=st.integers(1, 4), open_s=st.sampled_from((0.5, 60.0)))
    def begin(self, failures: int, probes: int, open_s: float) -> None:
        self.given = BreakerSettings(failures=failures, probes=probes, open_s=open_s)
        self.state, self.now = State(), 0.0
        self.in_a_row = 0
        self.opened_at: float | None = None
        self.let_through: list[int] = []
        """The turn of each probe that was let through."""

    @rule(target=calls)
    def call(self) -> int | None:
        before, (self.state, wait) = self.state, asked(self.state, self.now, self.given)
        if wait is not None:
            assert before.phase is not Phase.CLOSED
            assert self.state == before
            assert 0 < wait <= self.given.open_s
            return None
        if self.opened_at is not None:
            assert self.now >= self.opened_at + self.given.open_s
        if self.state.phase is Phase.HALF_OPEN:
            self.let_through.append(self.state.turn)
        return self.state.turn

    @rule(turn=consumes(calls), verdict=st.sampled_from(Verdict))
    def end(self, turn: int | None, verdict: Verdict) -> None:
        if turn is None:
            return
        before = self.state
        self.state = ended(before, turn, verdict, self.now, self.given)
        if turn != before.turn:
            assert self.state == before
            return
        if before.phase is Phase.CLOSED:
            self.in_a_row = {Verdict.FAILED: self.in_a_row + 1, Verdict.WORKED: 0}.get(verdict, self.in_a_row)
            assert (self.state.phase is Phase.OPEN) == (self.in_a_row == self.given.failures)
        else:
            assert (self.state.phase is Phase.OPEN) == (verdict is Verdict.FAILED)
        if self.state.phase is Phase.OPEN:
            self.opened_at, self.in_a_row = self.now, 0
        if self.state.phase is Phase.CLOSED and before.phase is Phase.HALF_OPEN:
            assert verdict is Verdict.WORKED
            assert before.worked == self.given.probes - 1
            self.opened_at, self.in_a_row = None, 0
        if verdict is Verdict.NOTHING and before.phase is Phase.HALF_OPEN:
            self.let_through.remove(turn)

    @rule(seconds=st.sampled_from((0.0, 0.125, 0.5, 1.0, 30.0, 59.875, 60.0, 1000.0)))
    def pass_time(self, seconds: float) -> None:
        """Each is a sum of powers of two, so that no rounding stands between the machine and the account."""
        self.now += seconds

    @invariant()
    def no_turn_has_too_many_probes(self) -> None:
        if hasattr(self, "given"):
            assert all(self.let_through.count(turn) <= self.given.probes for turn in self.let_through)

    @invariant()
    def it_is_never_shut_for_good(self) -> None:
        if hasattr(self, "given"):
            _, wait = asked(self.state, self.now + self.given.open_s, self.given)
            assert wait is None


TestBreaking = Breaking.TestCase


def test_a_refused_call_is_told_the_time_that_is_left() -> None:
    state = State(Phase.OPEN, 1, until=100.0)
    assert asked(state, 58.0, DEFAULT)[1] == pytest.approx(42.0)
    probing, _ = asked(state, 100.0, DEFAULT)
    assert probing.phase is Phase.HALF_OPEN
    for _ in range(DEFAULT.probes - 1):
        probing, wait = asked(probing, 100.0, DEFAULT)
        assert wait is None
    assert asked(probing, 100.0, DEFAULT)[1] == PROBE_PAUSE_S


def test_probes_that_never_end_are_given_up() -> None:
    state, _ = asked(State(Phase.OPEN, 1, until=0.0), 0.0, BreakerSettings(probes=1))
    assert asked(state, 59.0, BreakerSettings(probes=1))[1] is not None
    again, wait = asked(state, 60.0, BreakerSettings(probes=1))
    assert wait is None
    assert ended(again, state.turn, Verdict.FAILED, 61.0, DEFAULT) == again


def test_what_is_shown_as_open_refuses() -> None:
    state = State(Phase.OPEN, 1, until=100.0)
    assert phase_at(state, 99.9) is Phase.OPEN
    assert phase_at(state, 100.0) is Phase.HALF_OPEN
    assert phase_at(State(), 100.0) is Phase.CLOSED


def raised(code: str) -> RedoubtError:
    kind: type[RedoubtError] = getattr(errors, code)
    return kind("what happened")


@pytest.mark.parametrize(
    ("code", "away", "verdict"),
    [
        ("CaUnavailable", CaUnavailable, Verdict.FAILED),
        ("TargetUnreachable", TargetUnreachable, Verdict.FAILED),
        ("KeyStoreUnavailable", KeyStoreUnavailable, Verdict.FAILED),
        ("ChallengeNotVisible", CaUnavailable, Verdict.NOTHING),
        ("DependencyUnavailable", CaUnavailable, Verdict.NOTHING),
        ("DependencyUnavailable", TargetUnreachable, Verdict.NOTHING),
        ("CaRefused", CaUnavailable, Verdict.WORKED),
        ("OrderInvalid", CaUnavailable, Verdict.WORKED),
        ("DependencyOpen", CaUnavailable, Verdict.NOTHING),
        ("CaRateLimited", CaUnavailable, Verdict.NOTHING),
        ("CertificateRejected", CaUnavailable, Verdict.NOTHING),
        ("InvalidReference", CaUnavailable, Verdict.NOTHING),
        ("PinRejected", KeyStoreUnavailable, Verdict.NOTHING),
        ("Internal", RedoubtError, Verdict.NOTHING),
    ],
)
def test_what_an_error_says_of_the_dependency(code: str, away: type[RedoubtError], verdict: Verdict) -> None:
    assert verdict_of(raised(code), away) is verdict


def test_nothing_but_a_dependency_opens_a_breaker() -> None:
    for code, error in CATALOGUE.items():
        if verdict_of(raised(code), RedoubtError) is Verdict.FAILED:
            assert error.category is Category.DEPENDENCY
            assert error.retryable

"""A worker whose clock is off is told from one that is merely slow, and plans nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import clock
from activities.beating import beats
from activities.certificates.planning import PlanningActivities
from activities.certificates.sweeping import SweepingActivities
from activities.looking import Looks
from schemas.certificates import CertificateRenewalInput, CertificateSweepInput
from schemas.errors import ClockWrong

AN_ATTEMPT = timedelta(minutes=10)


def begun(ago: timedelta) -> ActivityEnvironment:
    """In an attempt that the server, by its own clock, has started so long ago as this machine sees it."""
    made = ActivityEnvironment()
    made.info = replace(made.info, started_time=datetime.now(UTC) - ago, start_to_close_timeout=AN_ATTEMPT)
    return made


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=1)], ids=["behind", "ahead"])
def test_a_clock_that_is_a_day_off_plans_nothing_and_finds_nothing_due(off: timedelta) -> None:
    # It has nothing else: whatever the steps touched before they looked at the clock would be missing.
    nothing: Any = SimpleNamespace(inventory={"www": None})
    with pytest.raises(ClockWrong, match="This worker's clock says"):
        begun(off).run(PlanningActivities(nothing).plan_renewal, CertificateRenewalInput(certificate="www"))
    with pytest.raises(ClockWrong, match="This worker's clock says"):
        begun(off).run(SweepingActivities(nothing).find_due, CertificateSweepInput())


@pytest.mark.parametrize("off", [-clock.MOST_APART / 2, timedelta(), clock.MOST_APART / 2])
def test_a_clock_that_is_about_right_is_told(off: timedelta) -> None:
    here = datetime.now(UTC)
    assert abs(begun(off).run(beats(clock.now)) - here) < clock.MOST_APART


def at(seconds: float) -> SimpleNamespace:
    return SimpleNamespace(monotonic=lambda: seconds)


def test_an_attempt_that_takes_its_time_is_no_wrong_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the clock that nobody sets it has run as long as the worker's other clock says."""
    monkeypatch.setattr(clock, "time", at(1000))

    def long_after() -> datetime:
        monkeypatch.setattr(clock, "time", at(1000 + AN_ATTEMPT.total_seconds()))
        return clock.now()

    assert begun(AN_ATTEMPT).run(beats(long_after))
    monkeypatch.setattr(clock, "time", at(1000))
    with pytest.raises(ClockWrong):
        begun(timedelta()).run(beats(long_after))


def test_a_clock_that_is_fast_by_less_than_an_attempt_may_take_decides_nothing() -> None:
    with pytest.raises(ClockWrong, match="0 s before"):
        begun(AN_ATTEMPT / 2).run(beats(clock.now))


def test_who_looks_for_an_activity_knows_when_that_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "time", at(1000))

    def looked() -> object:
        monkeypatch.setattr(clock, "time", at(1000 + AN_ATTEMPT.total_seconds()))
        return Looks().at({"www": "www"}, lambda _: clock.now())["www"]

    assert isinstance(begun(AN_ATTEMPT).run(beats(looked)), datetime)

"""A worker whose clock is off is told from one that is merely slow, and plans nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities import clock
from activities.certificates.planning import PlanningActivities
from activities.certificates.sweeping import SweepingActivities
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


@pytest.mark.parametrize("ago", [timedelta(), AN_ATTEMPT, -clock.MOST_APART / 2])
def test_an_attempt_that_takes_its_time_is_no_wrong_clock(ago: timedelta) -> None:
    here = datetime.now(UTC)
    assert abs(begun(ago).run(clock.now) - here) < AN_ATTEMPT

"""What was replaced is kept for its grace, whoever starts the step that retires it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.certificates.retiring import RetiringActivities
from activities.looking import Looks
from schemas.certificates import Close, Retired
from schemas.errors import ClockWrong, InItsGrace, RedoubtError, StillServed
from schemas.evidence import Event
from store import Begun, Operation
from tests.integration.workflows.stand_ins import TARGETS, plan

NEW = "f" * 64
HOUR = timedelta(hours=1)
CLOSE = Close(operation="op-1", certificate="www", outcome="renewed")


def retiring(*verified_ago: timedelta, grace: timedelta = HOUR) -> RetiringActivities:
    """The records of a renewal whose targets were verified so long ago, one after the other."""
    now = datetime.now(UTC)
    opened = Operation(
        operation="op-1",
        kind="CertificateRenewal",
        subject="www",
        workflow_id="certificate-renewal/www",
        correlation_id="",
        state=plan(grace_s=grace.total_seconds(), revoke_previous=True, destroy_keys=True).model_dump(
            mode="json"
        ),
        undoing=False,
        closed=None,
    )
    steps = [
        Begun(
            step=f"verify/{name}",
            what=Event.CERTIFICATE_VERIFIED,
            result={"fingerprint": NEW},
            at=now - ago - HOUR,
            ended=now - ago,
        )
        for name, ago in zip(TARGETS, verified_ago, strict=False)
    ]
    journal = SimpleNamespace(
        operation=lambda _: opened, steps=lambda _: steps, endings=lambda *_: (), unfinished=lambda _: ()
    )
    around: Any = SimpleNamespace(
        journal=journal,
        inventory={"www": SimpleNamespace(targets=[SimpleNamespace(name=name) for name in TARGETS])},
        target=lambda _: SimpleNamespace(current=lambda: NEW, read=lambda _: b"chain"),
        reader=SimpleNamespace(read=lambda _: SimpleNamespace(fingerprint=NEW)),
        seals=None,
        looks=Looks(),
    )
    return RetiringActivities(around)


def does(step: Any, started: timedelta = timedelta()) -> Retired:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=datetime.now(UTC) + started)
    done: Retired = environment.run(step, CLOSE)
    return done


def refused(kind: type[RedoubtError], activities: RetiringActivities, **info: timedelta) -> RedoubtError:
    for step in (activities.destroy_keys, activities.revoke_previous):
        with pytest.raises(kind) as told:
            does(step, **info)
    return told.value


def test_in_the_grace_nothing_is_revoked_or_destroyed_and_it_says_how_long() -> None:
    told = refused(InItsGrace, retiring(2 * HOUR, 2 * HOUR, HOUR / 2))
    assert told.retry_after_s == pytest.approx(1800, abs=60)


def test_after_the_grace_it_is() -> None:
    activities = retiring(2 * HOUR, 2 * HOUR, HOUR)
    assert does(activities.destroy_keys) == Retired()
    assert does(activities.revoke_previous).words == ("c" * 12 + " was not issued by Redoubt and stays",)
    assert does(retiring(*[timedelta()] * 3, grace=timedelta()).destroy_keys) == Retired()


def test_what_was_not_verified_everywhere_has_no_grace_that_could_end() -> None:
    assert TARGETS[2] in refused(StillServed, retiring(9 * HOUR, 9 * HOUR)).detail


def test_a_clock_that_is_a_day_ahead_ends_no_grace() -> None:
    refused(ClockWrong, retiring(*[timedelta(days=1)] * 3), started=timedelta(days=-1))

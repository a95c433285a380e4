"""Windows and limits at the first effect: nothing begins without room, and what has begun goes on."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from activities.certificates.issuing import IssuingActivities
from activities.certificates.planning import PlanningActivities
from activities.certificates.sweeping import SweepingActivities
from activities.policies import Policies
from activities.room import Room
from clients.identities.signing_keys import verify
from clients.policies.files import policy_of
from schemas.certificates import CertificateRenewalInput, CertificateSweepInput, RenewalPlan
from schemas.errors import ClockWrong, NotAuthorized, OutsideLimits
from schemas.limits import Limit, RateLimit, SimultaneousLimit
from schemas.policies import Grant, Policy, Role, Window
from store.spool import Spool
from store.sql.beginnings import SqlBeginnings
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.migrations import migrate
from store.sql.policies import SqlPolicies
from tests.unit.policies.installations import as_run, installed, started
from tests.unit.policies.people import policy
from tests.unit.policies.test_chain import put, written

KIND = "CertificateRenewal"
TWO: Limit = RateLimit(kind="rate", capability="certificates", most=2, within_s=3600)


def another_day() -> Window:
    """One that is not open now, whatever the hour."""
    then = datetime.now(UTC) + timedelta(days=2)
    return Window.model_validate(
        {
            "capability": "certificates",
            "scope": "pay-*",
            "days": [f"{then:%A}".lower()],
            "begin": time(0),
            "end": time(1),
        }
    )


@dataclass
class House:
    policies: Policies
    room: Room
    journal: SqlJournal

    def asked(self, what: Callable[..., Any], *given: Any) -> Any:
        """In an activity, which is where the room is asked."""
        return started().run(what, *given)

    def opened(self, subject: str) -> str:
        return self.journal.open(
            kind=KIND,
            subject=subject,
            workflow_id=f"certificate-renewal/{subject}",
            run="r/1",
            who="service:certificates",
            correlation_id="",
            state={},
        ).operation

    def begun(self, subject: str) -> str:
        operation = self.opened(subject)
        self.asked(self.room.look, operation, "key/shared")
        self.asked(self.room.take, operation, "key/shared")
        return operation


Built = Callable[[Policy | None], House]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Built]:
    engine = connect(f"sqlite:///{tmp_path}/records.sqlite")
    migrate(engine)
    journal = SqlJournal(engine, Spool(tmp_path / "spool", b"k" * 32), "certificates")

    def built(some: Policy | None) -> House:
        records, root = SqlPolicies(engine), None
        if some is not None:
            root = hashlib.sha256(written(some)).hexdigest()
            put(records, 1, written(some))
        policies = Policies(records, root, "test", policy_of, verify)
        return House(policies, Room(policies, SqlBeginnings(engine), journal, "service:limits"), journal)

    yield built
    engine.dispose()


def test_where_there_is_no_room_nothing_begins_and_what_has_begun_goes_on(house: Built) -> None:
    limited = house(policy(limits=(TWO,)))
    first, _ = limited.begun("a"), limited.begun("b")
    third = limited.opened("c")
    for asked in (limited.room.look, limited.room.take):
        with pytest.raises(OutsideLimits, match="there is room from"):
            limited.asked(asked, third, "key/shared")
    assert not limited.room.has_begun(third)
    limited.asked(limited.room.take, first, "switch/web-1")  # goes on
    limited.asked(limited.room.take, third, "undo/web-1")  # undoing asks nobody


def test_looking_takes_no_room(house: Built) -> None:
    limited = house(policy(limits=(TWO,)))
    for operation in [limited.opened(name) for name in "abcd"]:
        limited.asked(limited.room.look, operation, "key/shared")
    assert limited.asked(limited.room.waits, KIND, "e") == ""


def test_a_window_is_asked_at_the_first_effect_too(house: Built) -> None:
    closed = house(policy(windows=(another_day(),)))
    with pytest.raises(OutsideLimits, match="may begin only in its windows"):
        closed.begun("pay-1")
    closed.begun("www")
    assert closed.asked(closed.room.waits, KIND, "pay-1").startswith("it waits for its window: ")


@pytest.mark.parametrize("off", [timedelta(days=-1), timedelta(days=1)], ids=["behind", "ahead"])
def test_a_clock_that_is_a_day_off_opens_no_window_and_makes_no_room(house: Built, off: timedelta) -> None:
    limited = house(policy(windows=(another_day(),), limits=(TWO,)))
    operation, now = limited.opened("www"), datetime.now(UTC)
    for asked in (limited.room.look, limited.room.take, limited.room.waits):
        with pytest.raises(ClockWrong):
            started(now + off).run(asked, KIND if asked == limited.room.waits else operation, "www")
    assert not limited.room.has_begun(operation)


def test_without_a_policy_there_is_room(house: Built) -> None:
    free = house(None)
    free.begun("a")
    assert free.asked(free.room.waits, KIND, "b") == ""


def test_under_a_policy_that_does_not_verify_nothing_begins(house: Built) -> None:
    broken = house(policy())
    operation = broken.opened("a")
    broken.policies._root = "f" * 64
    with pytest.raises(NotAuthorized):
        broken.asked(broken.room.take, operation, "key/shared")
    assert "does not verify" in broken.asked(broken.room.waits, KIND, "a")


def test_a_sweep_starts_what_has_room_and_says_what_the_others_wait_for(tmp_path: Path) -> None:
    limit = SimultaneousLimit(kind="simultaneous", capability="certificates", scope="web-*", most=2)
    around = installed(tmp_path, policy(windows=(another_day(),), limits=(limit,)))
    found = started().run(SweepingActivities(around).find_due, CertificateSweepInput())
    due = {one.certificate for one in found.due}
    assert ("other" in due, len(due)) == (True, 3)
    told = {one.certificate: one.why for one in found.held_off}
    assert "it waits for its window" in told.pop("pay-1")
    ((last, why),) = told.items()
    assert last.startswith("web-")
    assert "2 operations of web-* are under way, and 2 may be at a time" in why


def test_the_real_steps_begin_nothing_without_room(tmp_path: Path) -> None:
    """Planned and let start by the policy, two make their keys, and the third does not."""
    limit = SimultaneousLimit(kind="simultaneous", capability="certificates", scope="web-*", most=2)
    anybody = Grant(role=Role.OPERATOR, principals=("unknown",))
    around = installed(tmp_path, policy(anybody, limits=(limit,)))
    plans = {name: _planned(around, name) for name in ("web-1", "web-2", "web-3")}
    for name in ("web-1", "web-2"):
        _make_key(around, plans[name])
    with pytest.raises(OutsideLimits, match="2 operations of web-"):
        _make_key(around, plans["web-3"])
    made = {name: _steps(around, plan) for name, plan in plans.items()}
    assert made == {"web-1": {"key/shared"}, "web-2": {"key/shared"}, "web-3": set()}
    _make_key(around, plans["web-1"])  # a second attempt is no third beginning


def _planned(around: Any, name: str) -> RenewalPlan:
    plan: RenewalPlan = as_run(name).run(
        PlanningActivities(around).plan_renewal, CertificateRenewalInput(certificate=name)
    )
    return plan


def _make_key(around: Any, plan: RenewalPlan) -> None:
    as_run(plan.certificate).run(IssuingActivities(around).make_key, plan.step(plan.groups[0]))


def _steps(around: Any, plan: RenewalPlan) -> set[str]:
    return {one.step for one in around.journal.steps(plan.operation)} - {"authorization"}

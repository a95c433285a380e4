"""Windows and limits at the first effect: nothing begins without room, and what has begun goes on."""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.certificates.issuing import IssuingActivities
from activities.certificates.planning import PlanningActivities
from activities.certificates.sweeping import SweepingActivities
from activities.policies import Policies
from activities.room import Room
from clients.identities.signing_keys import verify
from clients.policies.files import policy_of
from clients.settings import load
from schemas.certificates import CertificateRenewalInput, CertificateSweepInput, RenewalPlan
from schemas.errors import NotAuthorized, OutsideLimits
from schemas.limits import Limit, RateLimit, SimultaneousLimit
from schemas.policies import Grant, Policy, Role, Window
from store.spool import Spool
from store.sql.beginnings import SqlBeginnings
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.migrations import migrate
from store.sql.policies import SqlPolicies
from tests.unit.policies.people import policy
from tests.unit.policies.test_chain import put, written
from workers.wiring import Wiring

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
        self.room.look(operation, "key/shared")
        self.room.take(operation, "key/shared")
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
            asked(third, "key/shared")
    assert not limited.room.has_begun(third)
    limited.room.take(first, "switch/web-1")  # goes on
    limited.room.take(third, "undo/web-1")  # undoing asks nobody


def test_looking_takes_no_room(house: Built) -> None:
    limited = house(policy(limits=(TWO,)))
    for operation in [limited.opened(name) for name in "abcd"]:
        limited.room.look(operation, "key/shared")
    assert limited.room.waits(KIND, "e") == ""


def test_a_window_is_asked_at_the_first_effect_too(house: Built) -> None:
    closed = house(policy(windows=(another_day(),)))
    with pytest.raises(OutsideLimits, match="may begin only in its windows"):
        closed.begun("pay-1")
    closed.begun("www")
    assert closed.room.waits(KIND, "pay-1").startswith("it waits for its window: ")


def test_without_a_policy_there_is_room(house: Built) -> None:
    free = house(None)
    free.begun("a")
    assert free.room.waits(KIND, "b") == ""


def test_under_a_policy_that_does_not_verify_nothing_begins(house: Built) -> None:
    broken = house(policy())
    operation = broken.opened("a")
    broken.policies._root = "f" * 64
    with pytest.raises(NotAuthorized):
        broken.room.take(operation, "key/shared")
    assert "does not verify" in broken.room.waits(KIND, "a")


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
    plan: RenewalPlan = _as_run(name).run(
        PlanningActivities(around).plan_renewal, CertificateRenewalInput(certificate=name)
    )
    return plan


def _make_key(around: Any, plan: RenewalPlan) -> None:
    _as_run(plan.certificate).run(IssuingActivities(around).make_key, plan.step(plan.groups[0]))


def _steps(around: Any, plan: RenewalPlan) -> set[str]:
    return {one.step for one in around.journal.steps(plan.operation)} - {"authorization"}


def _as_run(name: str) -> ActivityEnvironment:
    environment = started()
    environment.info = replace(
        environment.info, workflow_id=f"certificate-renewal/{name}", workflow_run_id="1"
    )
    return environment


def started() -> ActivityEnvironment:
    """An attempt that has just begun, by the server's clock."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=datetime.now(UTC))
    return environment


def installed(folder: Path, some: Policy) -> Any:
    """An installation with certificates that no target holds yet, so that each is due."""
    secret = folder / "secrets" / "spool-key"
    secret.parent.mkdir()
    secret.touch(mode=0o600)
    secret.write_text("1f" * 16 + "2e" * 16)
    names = ("web-1", "web-2", "web-3", "pay-1", "other")
    document = {
        "installation": "test",
        "store": {"url": f"sqlite:///{folder}/records.sqlite"},
        "policy": {"root_sha256": hashlib.sha256(written(some)).hexdigest()},
        "key_stores": {
            name: {"kind": "software", "path": str(folder / name), "master_key": f"file:{secret}"}
            for name in ("keys", "codec")
        },
        "issuers": {"local": {"kind": "local", "path": str(folder / "ca"), "key_store": "keys"}},
        "certificates": {name: _certificate(folder / name, name) for name in names},
    }
    (folder / "redoubt.yaml").write_text(json.dumps(document))
    wiring = Wiring(load(folder / "redoubt.yaml"))
    migrate(wiring.engine())
    wiring.key_ring().rotate()
    put(SqlPolicies(wiring.engine()), 1, written(some))
    return wiring.certificate_surroundings()


def _certificate(folder: Path, name: str) -> dict[str, Any]:
    folder.mkdir()
    target = {
        "name": name,
        "directory": str(folder),
        "reload": ["true"],
        "verify": {"host": "127.0.0.1", "port": 1},
    }
    key = {"holder": "keys"}
    return {"names": [f"{name}.example.com"], "issuers": ["local"], "targets": [target], "key": key}

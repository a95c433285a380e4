"""A fleet of sixty targets, each slow to answer and some of them hanging, renewed on a real server.

The targets are stand-ins; the workflow, its activities, the records and the CA are the real ones. A slow target answers
only once three others are being asked too: who visits one after the other waits for ever at the first.
"""

import itertools
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from pydantic import JsonValue
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.certificates.planning import PlanningActivities
from activities.certificates.switching import SwitchingActivities
from activities.looking import Looks
from clients.probes import Handshake
from clients.settings import load
from clients.targets import Bundle, Fence
from schemas.certificates import CertificateRenewalInput, CertificateRenewalResult
from schemas.errors import TargetUnreachable
from schemas.evidence import Event
from schemas.settings.targets import TargetSettings
from tests.acceptance.fleet import make_namespace
from tests.conftest import DevServer
from tests.integration.workers.installation import Installation, install
from workers.building import build_worker
from workers.pools import POOLS
from workers.wiring import Wiring

T = TypeVar("T")
R = TypeVar("R")

SIZE, TOGETHER = 60, 4
HUNG = tuple(f"web-{number}" for number in range(3, 3 + TOGETHER))
RENEWAL = "certificate-renewal/www"


@dataclass
class Fleet:
    """All targets in one: what each holds and serves, by name."""

    hangs: tuple[str, ...] = ()
    """Those that do not answer who looks at them or tidies them up, until the test is over."""
    over: threading.Event = field(default_factory=threading.Event)
    together: threading.Barrier = field(default_factory=lambda: threading.Barrier(TOGETHER))
    slow: bool = False
    staged: dict[str, dict[str, bytes]] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)
    retired: set[str] = field(default_factory=set)

    def target(self, settings: TargetSettings) -> Any:
        return One(self, settings.name)

    def visited(self, name: str) -> None:
        if name in self.hangs:
            self.over.wait()
        elif self.slow:
            self.together.wait()

    def handshake(self, _host: str, port: int, _name: str, roots: bytes, _within_s: float) -> Handshake:
        return Handshake(fingerprint=self.served[f"web-{port}"], trusted=bool(roots), tls_version="TLSv1.3")


@dataclass
class One:
    """The port `Target`, as far as a renewal with a key in a key store uses it."""

    fleet: Fleet
    name: str

    def current(self) -> str | None:
        self.fleet.visited(self.name)
        return self.fleet.served.get(self.name)

    def read(self, version: str) -> bytes | None:
        return self.fleet.staged[self.name].get(version)

    def stage(self, bundle: Bundle, _fence: Fence) -> None:
        self.fleet.staged.setdefault(self.name, {})[bundle.version] = bundle.fullchain

    def switch(self, version: str, _fence: Fence) -> None:
        self.fleet.served[self.name] = version

    def retire(self, _keep: tuple[str, ...], _fence: Fence) -> None:
        self.fleet.visited(self.name)
        self.fleet.retired.add(self.name)


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    made = Fleet()
    yield made
    made.over.set()


def _installed(folder: Path, address: str, namespace: str) -> Installation:
    made = install(folder, address, namespace)
    made.document["key_stores"]["keys"] = {
        "kind": "software",
        "path": "keys",
        "master_key": made.secret("keys-master-key", secrets.token_hex(32)),
    }
    made.document["issuers"] = {"local": {"kind": "local", "path": "ca", "key_store": "keys"}}
    made.document["certificates"] = {
        "www": {
            "names": ["www.example.com"],
            "issuers": ["local"],
            "key": {"holder": "keys"},
            "waves": [SIZE],
            "targets": [_target(number) for number in range(1, SIZE + 1)],
        }
    }
    made.write()
    return made


def _wired(installation: Installation, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    """All real but the targets, and who shakes hands with them."""
    made = Wiring(load(installation.file))
    around = replace(
        made.certificate_surroundings(), target=fleet.target, prober=fleet, looks=Looks(each_s=5.0)
    )
    monkeypatch.setattr(made, "certificate_surroundings", lambda: around)
    return made


def _target(number: int) -> dict[str, Any]:
    verify = {"host": "127.0.0.1", "port": number}
    return {"name": f"web-{number}", "directory": "/nowhere", "reload": ["true"], "verify": verify}


@pytest.fixture
def here(tmp_path: Path, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    """Nothing is asked of a Temporal server."""
    return _wired(_installed(tmp_path, "127.0.0.1:1", "default"), fleet, monkeypatch)


@pytest_asyncio.fixture
async def client(
    tmp_path: Path, temporal_server: DevServer, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Client]:
    """With a worker of the pool."""
    address = temporal_server.address
    wiring = _wired(_installed(tmp_path, address, make_namespace(address)), fleet, monkeypatch)
    connected = await wiring.client("certificates")
    async with build_worker(connected, POOLS["certificates"], wiring, None):
        yield connected


async def _renew(client: Client) -> CertificateRenewalResult:
    result: CertificateRenewalResult = await client.execute_workflow(
        "CertificateRenewal",
        CertificateRenewalInput(certificate="www", force=True),
        id=RENEWAL,
        task_queue="certificates",
        result_type=CertificateRenewalResult,
    )
    return result


async def _attempts(client: Client) -> dict[str, int]:
    """By activity type, how often its last one was begun."""
    history = await client.get_workflow_handle(RENEWAL).fetch_history()
    kinds = {
        event.event_id: event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    }
    begun = [event.activity_task_started_event_attributes for event in history.events]
    return {kinds[one.scheduled_event_id]: one.attempt for one in begun if one.scheduled_event_id}


async def test_a_slow_fleet_is_planned_and_closed_in_one_attempt_each_and_what_hangs_is_left(
    client: Client, fleet: Fleet
) -> None:
    await _renew(client)
    fleet.slow = True
    fleet.retired.clear()
    _hang_once_planned(fleet)
    result = await _renew(client)
    assert fleet.hangs == HUNG
    assert len(set(result.fingerprints.values())) == 1
    assert set(result.fingerprints) == set(fleet.served)
    assert fleet.retired == set(fleet.served) - set(HUNG)
    attempts = await _attempts(client)
    assert (attempts["plan_renewal"], attempts["close_renewal"]) == (1, 1)


def _hang_once_planned(fleet: Fleet) -> None:
    """Planning sees all of them; then some hang, when each is visited a last time."""
    looked, visited = itertools.count(1), fleet.visited

    def counted(name: str) -> None:
        visited(name)
        if next(looked) == SIZE:
            fleet.hangs = HUNG

    fleet.visited = counted  # type: ignore[method-assign]


def _run(step: Callable[[T], R], given: T) -> R:
    """As the activity of a renewal's run."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=RENEWAL, started_time=datetime.now(UTC))
    return environment.run(step, given)


def test_planning_names_the_targets_that_hang_and_begins_nothing(here: Wiring, fleet: Fleet) -> None:
    fleet.slow, fleet.hangs = True, HUNG
    planning = PlanningActivities(here.certificate_surroundings())
    with pytest.raises(TargetUnreachable) as failed:
        _run(planning.plan_renewal, CertificateRenewalInput(certificate="www", force=True))
    assert f"{TOGETHER} of {SIZE} could not be looked at ({', '.join(HUNG)})" in failed.value.detail
    assert not here.journal().unfinished("CertificateRenewal")


def test_closing_leaves_the_targets_that_hang_and_ends(here: Wiring, fleet: Fleet) -> None:
    around = here.certificate_surroundings()
    given = CertificateRenewalInput(certificate="www", force=True)
    plan = _run(PlanningActivities(around).plan_renewal, given)
    for name in plan.targets:
        here.journal().begin(plan.operation, f"verify/{name}", Event.CERTIFICATE_VERIFIED, {})
        shown: dict[str, JsonValue] = {"fingerprint": "a" * 64}
        here.journal().finish(plan.operation, f"verify/{name}", Event.CERTIFICATE_VERIFIED, {}, shown)
    fleet.slow, fleet.hangs = True, HUNG
    _run(SwitchingActivities(around).close_renewal, plan.closing("renewed", ""))
    assert here.journal().operation(plan.operation).closed == "renewed"
    assert fleet.retired == set(plan.targets) - set(HUNG)

"""What each step does once the settings have its certificate, or its target, no more: folders, records and CA are real.

With a run, a worker that is killed and a sweep it is shown by tests/acceptance/test_taken_out.py.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from temporalio.testing import ActivityEnvironment

from activities.certificates.issuing import IssuingActivities
from activities.certificates.planning import PlanningActivities
from activities.certificates.steps import Surroundings
from activities.certificates.sweeping import SweepingActivities
from activities.certificates.switching import SwitchingActivities
from clients.probes import Handshake
from clients.settings import load
from clients.targets import keys
from schemas.certificates import CertificateRenewalInput, CertificateSweepInput, RenewalPlan, StepInput, Undo
from schemas.errors import UnknownSubject
from tests.integration.workers.installation import Installation, install
from workers.wiring import Wiring

T = TypeVar("T")
R = TypeVar("R")

RENEWAL = "certificate-renewal/www"
FORCED = CertificateRenewalInput(certificate="www", force=True)


def _run(step: Callable[[T], R], given: T) -> R:
    """As an activity of a renewal's run."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=RENEWAL, started_time=datetime.now(UTC))
    return environment.run(step, given)


@dataclass
class House:
    installation: Installation
    folders: dict[str, Path]

    def shown(self) -> dict[str, str]:
        return {name: self._shown(name) for name in self.folders}

    def _shown(self, target: str) -> str:
        file = self.folders[target] / "current" / "fullchain.pem"
        return keys.fingerprint(keys.leaf(file.read_bytes())) if file.exists() else ""

    def handshake(self, _host: str, port: int, _name: str, _roots: bytes, _within_s: float) -> Handshake:
        """As the port `Prober`: a server that reads what is current at once."""
        return Handshake(fingerprint=self._shown(f"web-{port}"), trusted=True, tls_version="TLSv1.3")

    def around(self) -> Surroundings:
        """Of a worker that is started with the settings as they are now."""
        self.installation.write()
        return replace(Wiring(load(self.installation.file)).certificate_surroundings(), prober=self)

    @property
    def certificates(self) -> dict[str, Any]:
        settings: dict[str, Any] = self.installation.document["certificates"]
        return settings

    def step(self, plan: RenewalPlan, target: str, issuer: str = "local") -> StepInput:
        return plan.step(plan.group_of(target), target=target, issuer=issuer)

    def staged(self) -> RenewalPlan:
        around = self.around()
        plan = _run(PlanningActivities(around).plan_renewal, FORCED)
        issuing, switching = IssuingActivities(around), SwitchingActivities(around)
        for name in plan.targets:
            for step in (issuing.make_key, issuing.obtain_certificate, switching.stage):
                _run(step, self.step(plan, name))
        return plan

    def renewed(self) -> None:
        plan, switching = self.staged(), SwitchingActivities(self.around())
        for name in plan.targets:
            _run(switching.switch, self.step(plan, name))
            _run(switching.verify, self.step(plan, name))
        _run(switching.close_renewal, plan.closing("renewed", ""))

    def half_switched(self) -> RenewalPlan:
        plan = self.staged()
        _run(SwitchingActivities(self.around()).switch, self.step(plan, "web-1"))
        return plan

    def put_back(self, plan: RenewalPlan) -> None:
        switching = SwitchingActivities(self.around())
        undo = Undo(operation=plan.operation, certificate="www", why="a test")
        for name in _run(switching.begin_undo, undo).targets:
            _run(switching.restore, self.step(plan, name, ""))
        _run(switching.close_renewal, plan.closing("undone", "a test"))


@pytest.fixture
def house(tmp_path: Path) -> House:
    """Two targets that have a certificate to lose."""
    made = install(tmp_path, "127.0.0.1:1")
    key = made.secret("keys-master-key", secrets.token_hex(32))
    made.document["key_stores"]["keys"] = {"kind": "software", "path": "keys", "master_key": key}
    made.document["issuers"] = {"local": {"kind": "local", "path": "ca", "key_store": "keys"}}
    folders = {name: tmp_path / name for name in ("web-1", "web-2")}
    targets = [_target(folder, port) for port, folder in enumerate(folders.values(), 1)]
    www = {
        "names": ["www.example.com"],
        "issuers": ["local"],
        "key": {"holder": "target"},
        "targets": targets,
    }
    made.document["certificates"] = {"www": www}
    ready = House(made, folders)
    ready.renewed()
    return ready


def _target(folder: Path, port: int) -> dict[str, Any]:
    folder.mkdir(mode=0o700)
    verify = {"host": "127.0.0.1", "port": port}
    return {"name": folder.name, "directory": str(folder), "reload": ["true"], "verify": verify}


def test_a_certificate_that_was_taken_out_is_put_back_by_who_takes_its_operation_up(house: House) -> None:
    before = house.shown()
    house.half_switched()
    assert house.shown()["web-1"] != before["web-1"]
    del house.certificates["www"]
    found = _run(SweepingActivities(house.around()).find_due, CertificateSweepInput())
    assert [(one.certificate, "the settings have it no more" in one.why) for one in found.due] == [
        ("www", True)
    ]
    plan = _run(PlanningActivities(house.around()).plan_renewal, FORCED)
    assert plan.undoing
    house.put_back(plan)
    assert house.shown() == before
    assert _run(SweepingActivities(house.around()).find_due, CertificateSweepInput()).due == ()
    with pytest.raises(UnknownSubject, match="in the inventory"):
        _run(PlanningActivities(house.around()).plan_renewal, FORCED)


def test_a_run_goes_no_further_on_what_was_taken_out_and_can_go_back(house: House) -> None:
    before = house.shown()
    plan = house.half_switched()
    _run(SwitchingActivities(house.around()).verify, house.step(plan, "web-1"))
    del house.certificates["www"]
    switching = SwitchingActivities(house.around())
    _run(switching.switch, house.step(plan, "web-1"))  # its outcome is recorded: nothing is done anew
    with pytest.raises(UnknownSubject, match="no target 'web-2' any more"):
        _run(switching.switch, house.step(plan, "web-2"))
    house.put_back(plan)
    assert house.shown() == before


def test_a_target_that_was_taken_out_is_put_back_with_the_others(house: House) -> None:
    before = house.shown()
    plan = house.half_switched()
    del house.certificates["www"]["targets"][0]
    house.put_back(plan)
    assert house.shown() == before


def test_a_target_that_has_moved_is_put_back_where_the_settings_say_that_it_is(house: House) -> None:
    before = house.shown()
    plan = house.half_switched()
    house.folders["web-1"] = house.folders["web-1"].rename(house.installation.folder / "moved")
    house.certificates["www"]["targets"][0]["directory"] = str(house.folders["web-1"])
    house.put_back(plan)
    assert house.shown() == before

"""An installation whose steps are run one by one, as a renewal's run does: folders, records and CA are real."""

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
from activities.certificates.switching import SwitchingActivities
from clients.probes import Handshake
from clients.settings import load
from clients.targets import keys
from schemas.certificates import CertificateRenewalInput, RenewalPlan, StepInput, Undo
from tests.integration.workers.installation import Installation, install
from workers.wiring import Wiring

T = TypeVar("T")
R = TypeVar("R")

RENEWAL = "certificate-renewal/www"
FORCED = CertificateRenewalInput(certificate="www", force=True)


def run(step: Callable[[T], R], given: T, workflow_id: str = RENEWAL) -> R:
    """As an activity of a run, a renewal's unless another is named."""
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=workflow_id, started_time=datetime.now(UTC))
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
        plan = run(PlanningActivities(around).plan_renewal, FORCED)
        issuing, switching = IssuingActivities(around), SwitchingActivities(around)
        for name in plan.targets:
            for step in (issuing.make_key, issuing.obtain_certificate, switching.stage):
                run(step, self.step(plan, name))
        return plan

    def renewed(self) -> None:
        plan, switching = self.staged(), SwitchingActivities(self.around())
        for name in plan.targets:
            run(switching.switch, self.step(plan, name))
            run(switching.verify, self.step(plan, name))
        run(switching.close_renewal, plan.closing("renewed", ""))

    def half_switched(self) -> RenewalPlan:
        plan = self.staged()
        run(SwitchingActivities(self.around()).switch, self.step(plan, "web-1"))
        return plan

    def put_back(self, plan: RenewalPlan) -> None:
        switching = SwitchingActivities(self.around())
        undo = Undo(operation=plan.operation, certificate="www", why="a test")
        for name in run(switching.begin_undo, undo).targets:
            run(switching.restore, self.step(plan, name, ""))
        run(switching.close_renewal, plan.closing("undone", "a test"))


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

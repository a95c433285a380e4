"""`redoubt certs list` tells what each target really holds, by the rule that the sweep decides by."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.certificates.sweeping import SweepingActivities
from cli.output import ExitCode
from clients.settings import load
from clients.targets import Bundle, Fence
from clients.x509 import X509Reader
from schemas.certificates import CertificateSweepInput, SweepFinding, SweepFindings
from schemas.evidence import Entry, Event, Kind
from schemas.settings.targets import FilesTarget, TargetSettings
from tests.integration.cli.conftest import House
from workers.wiring import Wiring

NAMES = ("www.example.com", "example.com")


def _inventory(house: House) -> None:
    def target(name: str) -> dict[str, Any]:
        directory = house.folder / "targets" / name
        directory.mkdir(parents=True, exist_ok=True)
        return {
            "name": name,
            "directory": str(directory),
            "reload": ["true"],
            "verify": {"host": "127.0.0.1", "port": 1},
        }

    www = {"names": list(NAMES), "issuers": ["local"], "targets": [target("web-1"), target("web-2")]}
    house.change(certificates={"www": www})


def _install(house: House, given: TargetSettings) -> str:
    """What a renewal does to one target, with the real parts."""
    wiring = Wiring(load(house.settings))
    target, issuer = wiring.target(given), wiring.issuer("local")
    csr = target.make_key("01", "EC-P256", NAMES)
    order = issuer.place_order(NAMES)
    issuer.finalize(order.url, csr, lambda: None)
    chain = issuer.certificate(order.url)
    version = X509Reader().read(chain).fingerprint
    fence = Fence(operation="1", epoch=1)
    target.stage(Bundle(version=version, fullchain=chain, key_id="01", key_uri=None), fence)
    target.switch(version, fence)
    return version


def _listed(house: House) -> tuple[int, list[dict[str, Any]]]:
    said = house.redoubt("certs", "list", "-o", "json")
    assert said.out, said.err
    return said.code, json.loads(said.out)


def test_each_target_tells_what_it_holds_and_what_is_due(house: House) -> None:
    assert _listed(house) == (ExitCode.OK, [])
    _inventory(house)
    code, rows = _listed(house)
    assert code == ExitCode.OK
    assert [(row["target"], row["not_after"], row["due"]) for row in rows] == [
        ("web-1", "", True),
        ("web-2", "", True),
    ]
    assert rows[0]["why"] == "a target has no certificate yet, or none that can be read"

    targets = load(house.settings).certificates["www"].targets
    held = [_install(house, target) for target in targets]
    code, rows = _listed(house)
    assert code == ExitCode.OK
    assert [row["fingerprint"] for row in rows] == held
    assert {row["due"] for row in rows} == {False}
    assert rows[0]["names"] == list(NAMES)
    assert rows[0]["days_left"] in {29, 30}
    assert "Redoubt local CA" in rows[0]["issuer"]
    assert datetime.strptime(rows[0]["not_after"], "%Y-%m-%d %H:%MZ").replace(tzinfo=UTC) > datetime.now(UTC)
    assert rows[0]["last_renewal"] == ""
    assert "web-2" in house.redoubt("certs", "list").out


def test_the_last_renewal_comes_from_the_records(house: House) -> None:
    _inventory(house)
    journal = Wiring(load(house.settings)).journal()
    opened = journal.open(
        kind="CertificateRenewal",
        subject="www",
        workflow_id="certificate-renewal/www",
        run="",
        who="test",
        correlation_id="test-test",
        state={},
    )
    journal.close(opened.operation, "renewed", {})
    moment = datetime.fromisoformat(_listed(house)[1][0]["last_renewal"])
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 600
    again = journal.open(
        kind="CertificateRenewal",
        subject="www",
        workflow_id="",
        run="",
        who="t",
        correlation_id="t",
        state={},
    )
    journal.close(again.operation, "undone", {})
    assert datetime.fromisoformat(_listed(house)[1][0]["last_renewal"]) == moment


def test_what_the_last_sweep_has_heard_of_the_cas_is_shown_of_what_is_held_still(house: House) -> None:
    _inventory(house)
    targets = load(house.settings).certificates["www"].targets
    held = sorted({_install(house, target) for target in targets})
    assert {row["due"] for row in _listed(house)[1]} == {False}
    now = datetime.now(UTC)
    found = SweepFinding(fingerprints=tuple(held), due=True, due_at=now, why="it was revoked (keyCompromise)")
    _sweep_found(house, found, "run-1")
    assert {(row["due"], row["why"]) for row in _listed(house)[1]} == {(True, found.why)}
    calendar = json.loads(house.redoubt("certs", "calendar", "-o", "json").out)
    assert (calendar[0]["what"], calendar[0]["at"]) == ("overdue", now.isoformat())
    _sweep_found(house, found.model_copy(update={"fingerprints": ("0" * 64,)}), "run-2")
    assert {row["due"] for row in _listed(house)[1]} == {False}, "it was about another certificate"


def _sweep_found(house: House, found: SweepFinding, run: str) -> None:
    entry = Entry(
        operation=f"sweep/{run}",
        step="found/www",
        kind=Kind.NOTE,
        what=Event.SWEEP_FOUND,
        subject="www",
        who="service:certificates",
        at=datetime.now(UTC),
        facts=found.model_dump(mode="json"),
    )
    Wiring(load(house.settings)).journal().note(entry)


def test_a_target_that_can_not_be_looked_at_is_named(house: House) -> None:
    _inventory(house)
    targets = load(house.settings).certificates["www"].targets
    _install(house, targets[0])
    assert isinstance(targets[1], FilesTarget)
    folder = Path(targets[1].directory)
    folder.rmdir()
    folder.write_text("a file, no folder")
    said = house.redoubt("certs", "list", "-o", "json")
    assert said.code == ExitCode.SKIPPED
    assert "www on web-2: " in said.err
    rows = json.loads(said.out)
    assert rows[1]["error"]
    assert rows[0]["fingerprint"]


def test_a_certificate_that_can_not_be_read_is_none_as_for_the_sweep(house: House) -> None:
    _inventory(house)
    targets = load(house.settings).certificates["www"].targets
    for target in targets:
        _install(house, target)
    assert isinstance(targets[1], FilesTarget)
    (Path(targets[1].directory) / "current" / "fullchain.pem").write_text("no certificate")
    code, rows = _listed(house)
    assert code == ExitCode.OK
    assert [(bool(row["fingerprint"]), row["due"], row["error"]) for row in rows] == [
        (True, True, ""),
        (False, True, ""),
    ]
    (decision,) = _swept(house).due
    assert (
        {row["why"] for row in rows}
        == {decision.why}
        == {"a target has no certificate yet, or none that can be read"}
    )


def _swept(house: House) -> SweepFindings:
    """What the sweep finds with the same settings."""
    sweeping = SweepingActivities(Wiring(load(house.settings)).certificate_surroundings())
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, started_time=datetime.now(UTC))
    return environment.run(sweeping.find_due, CertificateSweepInput())


def test_a_start_that_only_rehearses_starts_nothing(house: House) -> None:
    _inventory(house)

    def asked(kind: str, given: dict[str, Any]) -> str:
        file = house.folder / "input.json"
        file.write_text(json.dumps(given))
        said = house.redoubt("start", kind, "--input", str(file), "--rehearse")
        assert (said.code != ExitCode.OK, said.out) == (True, "")
        return said.err

    assert "No issuer of www has a staging_directory" in asked("CertificateRenewal", {"certificate": "www"})
    assert "leave out --rehearse" in asked("CertificateSweep", {})
    begun = {(run["type"], run["workflow_id"]) for run in json.loads(house.redoubt("list", "-o", "json").out)}
    assert ("CertificateRenewal", "certificate-renewal/www") not in begun  # other tests share the namespace
    assert "CertificateSweep" not in {kind for kind, _ in begun}

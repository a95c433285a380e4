"""`redoubt doctor` on a real installation: well, and with each thing that can be wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from cli.output import ExitCode
from clients.settings import load
from clients.settings.shape import references
from tests.integration.cli.conftest import House

CANARY = "Sup3rS3cretCanary"


def _found(house: House) -> tuple[int, dict[str, dict[str, Any]]]:
    said = house.redoubt("doctor", "-o", "json")
    assert CANARY not in said.out + said.err
    return said.code, {row["check"]: row for row in json.loads(said.out)}


@pytest.mark.usefixtures("working")
def test_all_is_well_on_a_fresh_installation(house: House) -> None:
    code, found = _found(house)
    wrong = {name: row for name, row in found.items() if row["state"] not in {"ok", "warning"}}
    assert wrong == {}
    assert code == ExitCode.OK
    assert found[f"temporal, namespace {house.namespace}"]["state"] == "ok"
    assert found["workers, certificates"]["state"] == "ok"
    text = house.redoubt("doctor")
    assert "ok            records: can be written" in text.out


@pytest.mark.parametrize("value", [b"", b"changeme\n", b"<the token>\n", b"0" * 64])
def test_an_empty_default_or_example_secret_is_found_wherever_it_stands(value: bytes, house: House) -> None:
    for name, reference in references(load(house.settings)):
        file = Path(reference.removeprefix("file:"))
        kept = file.read_bytes()
        file.write_bytes(value)
        code, found = _found(house)
        assert code == ExitCode.FAILED, name
        assert found[f"secret {name}"]["state"] == "broken", name
        file.write_bytes(kept)
    assert _found(house)[1]["payload keys"]["state"] == "ok"


def test_a_secret_that_others_can_read_is_found(house: House) -> None:
    (house.folder / "secrets" / "log-key").chmod(0o644)
    code, found = _found(house)
    assert code == ExitCode.FAILED
    assert found["secret evidence.log_key"]["state"] == "broken"
    assert "chmod 600" in found["secret evidence.log_key"]["mend"]


def test_settings_that_others_can_write_are_found(house: House) -> None:
    house.settings.chmod(0o666)
    code, found = _found(house)
    assert (code, found["settings file"]["state"]) == (ExitCode.FAILED, "broken")


def test_what_is_away_is_told_from_what_is_broken(house: House) -> None:
    house.change(
        egress={"allow": ["127.0.0.0/8"]},
        temporal={"address": "127.0.0.1:1", "namespace": "none", "web_ui": "http://127.0.0.1:1"},
        challenges={"web": {"kind": "http-01", "webroot": "w"}},
        issuers={
            "away": {
                "kind": "acme",
                "directory": "https://127.0.0.1:1/dir",
                "account_key": "file:secrets/acme-account-key",
                "challenge": "web",
            }
        },
    )
    code, found = _found(house)
    assert code == ExitCode.UNREACHABLE
    away = {name for name, row in found.items() if row["state"] == "not reachable"}
    assert {"temporal, namespace none", "issuer away", "web ui"} <= away
    assert found["clock"]["state"] == "warning"


def test_a_namespace_that_is_not_there_is_named(house: House, temporal_server: Any) -> None:
    house.change(
        temporal={"address": temporal_server.address, "namespace": "nowhere", "web_ui": temporal_server.ui}
    )
    _, found = _found(house)
    assert found["temporal, namespace nowhere"]["state"] == "broken"
    assert "The namespace nowhere does not exist." in found["temporal, namespace nowhere"]["saw"]


def test_records_that_are_not_migrated_are_found(house: House) -> None:
    house.change(store={"url": "sqlite:///fresh.sqlite"})
    code, found = _found(house)
    assert code != ExitCode.OK
    assert found["records' schema"]["state"] != "ok"
    assert found["records' schema"]["mend"] == "redoubt store migrate"


def test_an_acme_directory_is_reached_over_verified_tls(house: House, pebble: Any) -> None:
    acme = {
        "kind": "acme",
        "directory": pebble.directory,
        "account_key": "file:secrets/acme-account-key",
        "challenge": "web",
    }
    house.change(
        challenges={"web": {"kind": "http-01", "webroot": "w"}},
        issuers={"trusted": {**acme, "ca_file": str(pebble.ca_file)}, "untrusted": acme},
        egress={"allow": ["127.0.0.0/8"]},
    )
    _, found = _found(house)
    assert found["issuer trusted"]["state"] == "ok"
    assert found["issuer untrusted"]["state"] == "not reachable"

"""A run's history leaves encrypted, and replays: the same code agrees, other code differs, a missing key is neither."""

import base64
import json
import shutil
import stat
from pathlib import Path

import pytest

from cli.output import ExitCode
from tests.integration.cli.conftest import House

PLANTED = "pl4nted-reason-of-a-run"


def _sweep(house: House) -> str:
    file = house.folder / "sweep.json"
    file.write_text("{}")
    said = house.redoubt("start", "CertificateSweep", "--input", str(file), "--wait", "-o", "jsonl")
    assert said.code == ExitCode.OK, said.err
    return str(json.loads(said.out.splitlines()[0])["workflow_id"])


@pytest.mark.usefixtures("working")
def test_a_history_is_exported_encrypted_and_replays(house: House, tmp_path: Path) -> None:
    workflow_id, file = _sweep(house), tmp_path / "sweep.json"
    said = house.redoubt("history", "export", workflow_id, str(file))
    assert said.code == ExitCode.OK, said.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert "max_concurrent" not in text
    assert house.redoubt("history", "export", workflow_id, str(file)).code == ExitCode.USAGE
    assert file.read_text() == text

    assert _replayed(house, str(file)) == (ExitCode.OK, "same")
    assert _replayed(house, "--id", workflow_id) == (ExitCode.OK, "same")

    changed = json.loads(text)
    events = [
        one for one in changed["events"] if not one["eventType"].endswith("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES")
    ]
    assert len(events) < len(changed["events"])
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"events": events}))
    assert _replayed(house, str(other)) == (ExitCode.VERIFICATION, "differs")

    shutil.move(house.folder / "keys" / "codec", house.folder / "keys" / "elsewhere")
    code, outcome = _replayed(house, str(file))
    assert (code, outcome) == (ExitCode.SKIPPED, "unreadable")


def _replayed(house: House, *which: str) -> tuple[int, str]:
    said = house.redoubt("history", "replay", *which, "-o", "json")
    assert said.out, said.err
    return said.code, json.loads(said.out)[0]["replay"]


@pytest.mark.usefixtures("working")
def test_decoding_is_asked_for_and_recorded_first(house: House, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text(json.dumps({"certificate": "decoded", "reason": PLANTED}))
    said = house.redoubt("start", "CertificateRenewal", "--input", str(file), "-o", "json")
    workflow_id = json.loads(said.out)["workflow_id"]
    sealed, plain = tmp_path / "sealed.json", tmp_path / "plain.json"
    assert house.redoubt("history", "export", workflow_id, str(sealed)).code == ExitCode.OK
    assert house.redoubt("history", "export", workflow_id, str(plain), "--decode").code == ExitCode.OK
    assert _input(plain)["reason"] == PLANTED
    assert "reason" not in _input(sealed)
    log = house.redoubt("audit", "log", "-o", "json")
    decodes = [one for one in json.loads(log.out) if one["what"] == "payload.decoded"]
    assert [one["subject"] for one in decodes] == [workflow_id]
    house.ask(lambda client: client.get_workflow_handle(workflow_id).terminate("the test has ended"))


def _input(file: Path) -> dict[str, object]:
    """The first payload of the run's input, if it is plain."""
    started = json.loads(file.read_text())["events"][0]["workflowExecutionStartedEventAttributes"]
    payload = started["input"]["payloads"][0]
    try:
        return dict(json.loads(base64.b64decode(payload["data"])))
    except ValueError:
        return {}


def test_what_is_no_history_is_refused(house: House, tmp_path: Path) -> None:
    file = tmp_path / "none.json"
    for text in ("", "{}", "[]", '{"events": 7}', '{"events": []}'):
        file.write_text(text)
        said = house.redoubt("history", "replay", str(file))
        assert said.code == ExitCode.USAGE, text
        assert "InvalidInput" in said.err
    assert house.redoubt("history", "replay").code == ExitCode.USAGE

"""`redoubt certs calendar`: dates of what lies on the targets, for people and for programs."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.output import ExitCode
from tests.integration.tls.material import TlsCa, put
from tests.unit.cli.conftest import Redoubt


def target(folder: Path) -> dict[str, Any]:
    folder.mkdir()
    return {
        "name": folder.name,
        "directory": str(folder),
        "reload": ["true"],
        "verify": {"host": "127.0.0.1", "port": 1},
    }


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """`www` ends within a day, `api` has no certificate yet; the targets' folders lie in here."""
    www = {"names": ["www.example.test"], "issuers": ["ca"], "targets": [target(tmp_path / "web-1")]}
    api = {"names": ["api.example.test"], "issuers": ["ca"], "targets": [target(tmp_path / "web-2")]}
    settings = {
        "key_stores": {"keys": {"kind": "software", "path": "keys", "master_key": "file:key"}},
        "issuers": {"ca": {"kind": "local", "path": "ca", "key_store": "keys"}},
        "certificates": {"www": www, "api": api},
    }
    (tmp_path / "redoubt.yaml").write_text(yaml.safe_dump(settings))
    put(tmp_path / "web-1", TlsCa().server("www.example.test"))
    return tmp_path


@pytest.mark.usefixtures("house")
def test_people_see_what_is_past_first_and_then_the_days(redoubt: Redoubt) -> None:
    said = redoubt("certs", "calendar")
    assert said.code == ExitCode.OK, said.err
    told = [line.split() for line in said.out.splitlines()]
    assert told[0] == ["now"]
    assert [line[0] for line in told[1:3]] == ["missing", "overdue"]
    assert told[1][-1] == "api"
    assert told[-1][0] == "ends"
    assert told[-1][-1] == "www"
    assert "-W" in redoubt("certs", "calendar", "--by", "week").out


@pytest.mark.usefixtures("house")
def test_programs_get_each_date_with_its_period(redoubt: Redoubt) -> None:
    rows = json.loads(redoubt("certs", "calendar", "-o", "json").out)
    assert [(row["what"], row["certificate"]) for row in rows] == [
        ("missing", "api"),
        ("overdue", "www"),
        ("ends", "www"),
    ]
    ends = datetime.fromisoformat(rows[2]["at"])
    assert ends > datetime.now(UTC)
    assert rows[2]["period"] == ends.date().isoformat()
    assert rows[1]["period"] is None
    jsonl = redoubt("certs", "calendar", "-o", "jsonl").out
    assert [json.loads(line)["what"] for line in jsonl.splitlines()] == ["missing", "overdue", "ends"]


def test_what_can_not_be_looked_at_is_named(redoubt: Redoubt, house: Path) -> None:
    (house / "web-2").rmdir()
    (house / "web-2").write_text("a file, no folder")
    said = redoubt("certs", "calendar", "-o", "json")
    assert said.code == ExitCode.SKIPPED
    assert "api on web-2: " in said.err
    assert {row["certificate"] for row in json.loads(said.out)} == {"www"}

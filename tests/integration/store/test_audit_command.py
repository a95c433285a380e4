"""`redoubt audit` and `redoubt store`, as people call them."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from rules.checkpoints import verifier_key
from schemas.evidence import Event
from store.signing import LogKey
from store.spool import Spool
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.log import SqlLog

SEED = bytes(range(100, 132))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    key = tmp_path / "log-key"
    key.touch(mode=0o600)
    key.write_text(f"{SEED.hex()}\n")
    file = tmp_path / "redoubt.yaml"
    file.write_text(
        "store: {url: sqlite:///records.sqlite}\n"
        "evidence: {origin: redoubt.invalid/log, log_key: 'file:log-key', spool: spool}\n"
    )
    monkeypatch.setenv("REDOUBT_CONFIG", str(file))
    return file


@pytest.fixture
def filled(settings: Path, capsys: pytest.CaptureFixture[str]) -> SqlJournal:
    assert run(["store", "migrate"]) == 0
    assert "The records' schema is at version" in capsys.readouterr().err
    engine = connect(f"sqlite:///{settings.parent}/records.sqlite")
    journal = SqlJournal(engine, Spool(settings.parent / "spool", b"k" * 32), "certificates")
    operation = journal.open(
        kind="K", subject="www", workflow_id="w", run="r", who="alice", correlation_id="", state={}
    ).operation
    journal.begin(operation, "switch/a", Event.CERTIFICATE_SWITCHED, {})
    SqlLog(engine, "redoubt.invalid/log", SEED).sequence()
    return journal


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("filled")
def test_a_sound_log_verifies(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "verify"]) == 0
    text = capsys.readouterr().out
    assert "VERIFIED: every row, every checkpoint." in text
    assert "open: switch/a of www" in text
    assert run(["audit", "verify", "-o", "json"]) == 0
    report = told(capsys)
    assert (report["verified"], report["size"], report["spooled"], report["findings"]) == (True, 2, 0, [])


@pytest.mark.usefixtures("filled")
def test_a_broken_log_is_exit_code_4(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(sqlite3.connect(settings.parent / "records.sqlite")) as database, database:
        database.execute("UPDATE operations SET state = '[1]'")
    assert run(["audit", "verify"]) == 4
    text = capsys.readouterr().out
    assert "its plan was changed" in text
    assert "NOT VERIFIED: 1 findings" in text
    assert run(["audit", "verify", "-o", "json"]) == 4
    assert told(capsys)["findings_count"] == 1


@pytest.mark.usefixtures("filled")
def test_a_key_and_a_checkpoint_from_outside(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "key"]) == 0
    key = capsys.readouterr().out.strip()
    assert run(["audit", "checkpoint"]) == 0
    kept = settings.parent / "kept"
    kept.write_text(capsys.readouterr().out)
    (settings.parent / "log-key").unlink()  # an auditor has none
    assert run(["audit", "verify", "--public-key", key, "--checkpoint", str(kept)]) == 0
    (settings.parent / "key").write_text(key)
    assert run(["audit", "verify", "--public-key", str(settings.parent / "key")]) == 0
    other = verifier_key("redoubt.invalid/log", LogKey(b"\x07" * 32).public)
    assert run(["audit", "verify", "--public-key", other]) == 4
    capsys.readouterr()
    assert run(["audit", "verify", "--public-key", "a+b+c"]) == 2
    assert "`redoubt audit key` prints it" in capsys.readouterr().err
    assert run(["audit", "verify", "--checkpoint", str(settings.parent / "none")]) == 2


def test_entries_are_listed(filled: SqlJournal, capsys: pytest.CaptureFixture[str]) -> None:
    operation = filled.unfinished("K")[0].operation
    filled.finish(operation, "switch/a", Event.CERTIFICATE_SWITCHED, {}, {})
    assert run(["audit", "log", "--operation", operation, "-o", "json"]) == 0
    assert [(one["index"], one["kind"], one["what"]) for one in told(capsys)] == [
        (0, "note", "operation.opened"),
        (1, "intent", "certificate.switched"),
        (None, "outcome", "certificate.switched"),
    ]
    assert run(["audit", "log", "--subject", "www", "--limit", "1", "-o", "jsonl"]) == 0
    assert told(capsys)["kind"] == "outcome"
    assert run(["audit", "log"]) == 0
    assert "certificate.switched" in capsys.readouterr().out
    assert run(["audit", "log", "--subject", "none"]) == 0
    assert "no such evidence" in capsys.readouterr().err


@pytest.mark.usefixtures("settings")
def test_before_there_is_anything(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["audit", "verify"]) == 5
    assert "redoubt store migrate" in capsys.readouterr().err
    assert run(["store", "migrate"]) == 0
    assert run(["audit", "checkpoint"]) == 1
    assert run(["store", "roles"]) == 0
    assert "CREATE ROLE redoubt_pool" in capsys.readouterr().out


@pytest.mark.usefixtures("filled")
def test_the_verifier_in_the_document_prints_the_same_root(
    settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = (Path(__file__).parents[3] / "docs" / "evidence.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    shutil.copy(settings.parent / "records.sqlite", settings.parent / "redoubt.sqlite")
    shutil.copy(settings.parent / "records.sqlite-wal", settings.parent / "redoubt.sqlite-wal")
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=settings.parent, capture_output=True, check=True, timeout=60
    )
    assert run(["audit", "verify", "-o", "json"]) == 0
    assert ran.stdout.decode().strip() == told(capsys)["root"]

"""SIGKILL at every named point: the next process goes on, nothing is recorded twice, and the log verifies."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from store.signing import LogKey
from store.sql.audit import verify
from store.sql.engine import reading
from tests.servers.crashes import command_killed_at

PROGRAM = Path(__file__).with_name("steps_program.py")
STEPS = 3


def killed_at(point: str, records: Any, folder: Path) -> None:
    command_killed_at(point, folder, arguments(records, folder), PYTHONPATH=str(Path.cwd()))


def started(records: Any, folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    here = {**os.environ, **environment, "PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen(arguments(records, folder), env=here)


def arguments(records: Any, folder: Path) -> list[str]:
    return [sys.executable, str(PROGRAM), records.url, str(folder), str(STEPS)]


POINTS = [
    *(f"journal.begun:{time}" for time in (1, STEPS)),
    *(f"journal.finished:{time}" for time in (1, STEPS)),
    *(f"log.appended:{time}" for time in (1, 2)),
    *(f"log.signed:{time}" for time in (1, 2)),
]


@pytest.mark.parametrize("point", POINTS)
def test_the_next_process_goes_on(records: Any, tmp_path: Path, point: str) -> None:
    killed_at(point, records, tmp_path)
    found = verify(records.engine, "redoubt.invalid/log", LogKey(b"\x05" * 32).public)
    # Before the first signature there is a log of no row and no checkpoint; what is there must be sound.
    assert found.verified or found.checkpoints == 0, found.findings
    assert started(records, tmp_path).wait(timeout=60) == 0
    found = verify(records.engine, "redoubt.invalid/log", LogKey(b"\x05" * 32).public)
    assert found.verified, found.findings
    # Opened, closed, an intent and an outcome for each step.
    assert (found.size, found.waiting, found.open_steps_count) == (2 + 2 * STEPS, 0, 0)
    assert (tmp_path / "effects").read_text().splitlines() == [f"step/{number}" for number in range(STEPS)]
    with reading(records.engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM operations")).scalar() == 1


@pytest.mark.parametrize("point", ["spool.written", "spool.written:2", "spool.replayed"])
def test_a_spool_survives_the_kill(records: Any, tmp_path: Path, point: str) -> None:
    (tmp_path / "undo").touch()
    assert started(records, tmp_path, OPEN_ONLY="1").wait(timeout=60) == 0
    records.goes()
    if point == "spool.replayed":
        assert started(records, tmp_path, SPOOL_ONLY="1").wait(timeout=60) == 0
        records.comes()
        killed_at(point, records, tmp_path)
    else:
        killed_at(point, records, tmp_path)
        records.comes()
    assert started(records, tmp_path).wait(timeout=60) == 0
    found = verify(records.engine, "redoubt.invalid/log", LogKey(b"\x05" * 32).public)
    assert found.verified, found.findings
    assert found.size == 2 + 1 + 2

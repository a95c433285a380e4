"""The port `Log`, as every implementation must keep it: on SQLite and on PostgreSQL."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from rules.checkpoints import open_checkpoint
from rules.merkle import leaf_hash, root_of
from schemas.errors import EvidenceBroken
from schemas.evidence import Event
from store import Journal, Log
from store.signing import LogKey, PublicKey
from store.spool import Spool
from store.sql.audit import verify
from store.sql.engine import writing
from store.sql.journal import SqlJournal
from store.sql.log import SqlLog
from store.sql.models import APPEND_ONLY

ORIGIN = "redoubt.invalid/log"
SEED = b"\x05" * 32
PUBLIC = LogKey(SEED).public


@pytest.fixture
def journal(engine: Engine, tmp_path: Path) -> Journal:
    return SqlJournal(engine, Spool(tmp_path / "spool", b"k" * 32), "certificates")


@pytest.fixture
def log(engine: Engine) -> Log:
    return SqlLog(engine, ORIGIN, SEED)


def record(journal: Journal, count: int, subject: str = "www") -> None:
    """One row for the opening, and one for each step."""
    opened = journal.open(
        kind="K", subject=subject, workflow_id="w", run="r", who="a", correlation_id="", state={}
    )
    for number in range(count):
        journal.begin(opened.operation, f"step/{number}", Event.KEY_GENERATED, {"n": number})


def test_an_empty_log_is_signed(log: Log) -> None:
    assert log.checkpoint() is None
    assert log.sequence() == 0
    note = log.checkpoint()
    assert note is not None
    assert open_checkpoint(note, ORIGIN, PUBLIC, PublicKey(PUBLIC).verifies).size == 0
    assert log.sequence() == 0
    assert log.checkpoint() == note


def test_rows_move_once_in_order_under_a_signed_root(journal: Journal, log: Log) -> None:
    record(journal, 6)
    assert log.sequence(limit=4) == 4
    assert log.sequence() == 3
    assert log.sequence() == 0
    rows = list(log.rows())
    assert [row.index for row in rows] == list(range(7))
    assert [json.loads(row.entry)["facts"].get("n") for row in rows] == [None, 0, 1, 2, 3, 4, 5]
    assert [row.index for row in log.rows(5)] == [5, 6]
    note = log.checkpoint()
    assert note is not None
    checkpoint = open_checkpoint(note, ORIGIN, PUBLIC, PublicKey(PUBLIC).verifies)
    assert checkpoint.size == log.size() == 7
    assert checkpoint.root == root_of(leaf_hash(row.entry) for row in rows)


def test_two_sequencers_at_once_move_each_row_once(journal: Journal, engine: Engine) -> None:
    logs = [SqlLog(engine, ORIGIN, SEED) for _ in range(4)]

    def write(number: int) -> int:
        record(journal, 9, subject=f"subject-{number}")
        return 0

    with ThreadPoolExecutor(8) as pool:
        writing_them = [pool.submit(write, number) for number in range(6)]
        moving = [pool.submit(logs[number % 4].sequence, 7) for number in range(24)]
        moved = sum(one.result() for one in moving)
        for one in writing_them:
            one.result()
    while more := logs[0].sequence():
        moved += more
    assert moved == logs[0].size() == 60
    found = verify(engine, ORIGIN, PUBLIC)
    assert found.verified, found.findings
    assert (found.size, found.waiting) == (60, 0)


def test_nothing_is_signed_by_another_key_or_for_another_log(
    journal: Journal, engine: Engine, log: Log
) -> None:
    record(journal, 1)
    log.sequence()
    record(journal, 2)
    for other in (SqlLog(engine, ORIGIN, b"\x06" * 32), SqlLog(engine, "other.invalid/log", SEED)):
        with pytest.raises(EvidenceBroken, match="can't be gone on from"):
            other.sequence()
    assert log.sequence() == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE checkpoints SET range = :other", "does not agree"),
        ('DELETE FROM log WHERE "index" = 2', "the log has 2 rows"),
        ("DELETE FROM checkpoints", "no checkpoint"),
        ("UPDATE checkpoints SET note = 'forged'", "can't be gone on from"),
        ("UPDATE checkpoints SET size = 2", "can't be gone on from"),
    ],
)
def test_an_inconsistent_checkpoint_is_never_signed(
    journal: Journal, engine: Engine, log: Log, change: str, why: str
) -> None:
    record(journal, 2)
    log.sequence()
    tamper(engine, change, other=bytes(64))
    record(journal, 4)
    with pytest.raises(EvidenceBroken, match=why):
        log.sequence()


def tamper(engine: Engine, statement: str, **values: Any) -> None:
    """As who owns the database could: without the triggers."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            for table in APPEND_ONLY:
                for verb in ("update", "delete"):
                    connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_refuses_{verb}"))
        bound = {name: value for name, value in values.items() if f":{name}" in statement}
        connection.execute(text(statement), bound)

"""Whatever the order in which transactions commit, each committed row is once in the log, and no other is."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert, select, text

from schemas.errors import DependencyUnavailable
from store.signing import LogKey
from store.sql import log as module
from store.sql.audit import verify
from store.sql.engine import connect, reading
from store.sql.log import SqlLog
from store.sql.migrations import migrate
from store.sql.models import checkpoints, evidence, log

ORIGIN, SEED = "redoubt.invalid/log", b"\x05" * 32
SLOTS = 4

actions = st.lists(
    st.tuples(
        st.sampled_from(["insert", "insert", "commit", "roll back", "sequence"]), st.integers(0, SLOTS - 1)
    ),
    max_size=24,
)


@pytest.fixture
def engine(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(module, "SETTLE_WAIT_MS", 20)
    made = connect(postgres_url)
    migrate(made)
    yield made
    made.dispose()


class Writers:
    """Transactions that are open side by side."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open: dict[int, Connection] = {}
        self._drafts: dict[int, list[str]] = {}
        self._count = 0
        self.committed: list[str] = []

    def insert(self, slot: int) -> None:
        if slot not in self._open:
            self._open[slot] = self._engine.connect()
        name = str(self._count)
        self._count += 1
        row = {"operation": name, "step": "s", "kind": "note", "subject": "", "entry": _entry(name)}
        self._open[slot].execute(insert(evidence).values(row))
        self._drafts.setdefault(slot, []).append(name)

    def commit(self, slot: int) -> None:
        if slot in self._open:
            connection = self._open.pop(slot)
            connection.commit()
            connection.close()
            self.committed += self._drafts.pop(slot)

    def roll_back(self, slot: int) -> None:
        if slot in self._open:
            self._open.pop(slot).close()
            self._drafts.pop(slot)

    def end(self) -> None:
        for slot in list(self._open):
            self.commit(slot)


def _entry(name: str) -> bytes:
    return f'{{"facts":{{}},"kind":"note","operation":"{name}","step":"s","subject":""}}'.encode()


def sequence(engine: Engine) -> int:
    try:
        return SqlLog(engine, ORIGIN, SEED).sequence(limit=3)
    except DependencyUnavailable:
        return 0  # a writer hung longer than the sequencer waits: next time


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=actions)
def test_each_committed_row_is_once_in_the_log(engine: Engine, plan: list[tuple[str, int]]) -> None:
    _begin_anew(engine)
    writers = Writers(engine)
    moving: list[Future[int]] = []
    with ThreadPoolExecutor(2) as pool, ExitStack() as ends:
        ends.callback(writers.end)
        for action, slot in plan:
            if action == "sequence":
                moving.append(pool.submit(sequence, engine))
            else:
                getattr(writers, action.replace(" ", "_"))(slot)
    for one in moving:
        one.result()
    while sequence(engine):
        pass
    assert sorted(_in_log(engine)) == sorted(writers.committed)
    found = verify(engine, ORIGIN, LogKey(SEED).public)
    assert found.verified, found.findings
    assert found.waiting == 0


def _begin_anew(engine: Engine) -> None:
    """Past the triggers that keep what is there: each example has a log to itself, or verifying all would grow slow."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(f"TRUNCATE {evidence}, {log}, {checkpoints}"))


def _in_log(engine: Engine) -> list[str]:
    query = select(evidence.c.operation).join(log, log.c.evidence_id == evidence.c.id)
    with reading(engine) as connection:
        names: list[Any] = list(connection.execute(query).scalars())
    return names


def test_a_writer_that_hangs_holds_up_the_sequencer_and_nobody_else(engine: Engine) -> None:
    writers = Writers(engine)
    writers.insert(0)
    writers.insert(1)
    writers.commit(1)
    with pytest.raises(DependencyUnavailable):
        SqlLog(engine, ORIGIN, SEED).sequence()
    writers.insert(2)
    writers.end()
    assert SqlLog(engine, ORIGIN, SEED).sequence() == 3

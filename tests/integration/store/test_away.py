"""The database goes away: nothing new begins, what undoes itself goes on, and all of it is recorded in the end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from schemas.errors import EvidenceBroken, EvidenceUnavailable, Fenced
from schemas.evidence import Event
from store.signing import LogKey
from store.spool import Spool, replay_spool, spooled_lines
from store.sql.audit import entries, verify
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.migrations import migrate

ORIGIN = "redoubt.invalid/log"
PUBLIC = LogKey(b"\x05" * 32).public
SWITCH, RESTORE = Event.CERTIFICATE_SWITCHED, Event.CERTIFICATE_RESTORED


@pytest.fixture
def operation(records: Any) -> str:
    opened: str = records.journal.open(
        kind="K", subject="www", workflow_id="w", run="r", who="a", correlation_id="c", state={"n": 1}
    ).operation
    records.journal.begin(opened, "switch/a", SWITCH, {})
    return opened


def restarted(records: Any) -> SqlJournal:
    """The worker was ended and another one started: nothing is left but what lies on the disk."""
    return SqlJournal(records.engine, Spool(records.spool_folder, b"k" * 32), "certificates")


def verified(records: Any) -> None:
    while records.log.sequence():
        pass
    found = verify(records.engine, ORIGIN, PUBLIC)
    assert found.verified, found.findings


def test_nothing_new_begins(records: Any, operation: str) -> None:
    journal = records.journal
    records.goes()
    calls: tuple[Callable[[], object], ...] = (
        lambda: journal.open(
            kind="K", subject="b", workflow_id="w", run="r", who="", correlation_id="", state={}
        ),
        lambda: journal.begin(operation, "switch/b", SWITCH, {}),
        lambda: journal.finish(operation, "switch/a", SWITCH, {}, {}),
        lambda: journal.result(operation, "switch/a"),
        lambda: journal.steps(operation),
        lambda: journal.unfinished("K"),
        lambda: journal.close(operation, "renewed", {}),
    )
    for call in calls:
        with pytest.raises(EvidenceUnavailable) as refused:
            call()
        assert "SELECT" not in str(refused.value)
        assert refused.value.__cause__ is None
    assert spooled_lines(records.spool_folder) == 0
    records.comes()
    assert journal.begin(operation, "switch/b", SWITCH, {}).first


def test_an_undo_goes_on_and_is_recorded_later(records: Any, operation: str) -> None:
    records.goes()
    journal = restarted(records)
    assert journal.operation(operation).state == {"n": 1}
    for _ in range(2):
        journal.undo(operation, "the check failed")
        begun = journal.begin(operation, "undo/a", RESTORE, {"to": "f00d"})
        assert (begun.first, begun.result) == (False, None)
    assert journal.operation(operation).undoing
    assert journal.finish(operation, "undo/a", RESTORE, {}, {"n": 1}) == {"n": 1}
    assert journal.finish(operation, "undo/a", RESTORE, {}, {"n": 2}) == {"n": 1}
    assert journal.begin(operation, "undo/a", RESTORE, {}).result == {"n": 1}
    assert journal.result(operation, "undo/a") == {"n": 1}
    assert spooled_lines(records.spool_folder) == 3
    records.comes()
    assert replay_spool(journal) == 3
    assert replay_spool(journal) == 0
    spooled = [one for one in entries(records.engine, operation=operation) if one["facts"].get("spooled")]
    assert [(one["step"], one["kind"]) for one in spooled] == [
        ("undo", "note"),
        ("undo/a", "intent"),
        ("undo/a", "outcome"),
    ]
    assert journal.result(operation, "undo/a") == {"n": 1}
    verified(records)


def test_what_is_spooled_holds_before_anyone_replays_it(records: Any, operation: str) -> None:
    records.goes()
    records.journal.undo(operation, "the check failed")
    records.comes()
    with pytest.raises(Fenced, match="undoes itself"):
        records.journal.begin(operation, "switch/b", SWITCH, {})
    verified(records)


def test_a_replay_that_is_broken_off_is_done_again(records: Any, operation: str) -> None:
    records.goes()
    records.journal.undo(operation, "the check failed")
    records.journal.begin(operation, "undo/a", RESTORE, {})
    lines = (records.spool_folder / "lines").read_bytes()
    head = (records.spool_folder / "head").read_bytes()
    with pytest.raises(EvidenceUnavailable):
        replay_spool(records.journal)
    records.comes()
    assert replay_spool(records.journal) == 2
    # As if the process had died after the last row and before the spool was emptied.
    (records.spool_folder / "lines").write_bytes(lines)
    (records.spool_folder / "head").write_bytes(head)
    assert replay_spool(records.journal) == 2
    assert len(entries(records.engine, operation=operation)) == 4
    verified(records)


def test_what_was_undone_and_recorded_before_is_known_while_away(records: Any, operation: str) -> None:
    records.journal.undo(operation, "the check failed")
    records.goes()
    assert restarted(records).operation(operation).undoing


def test_a_host_that_never_saw_the_operation_waits(records: Any, operation: str, tmp_path: Any) -> None:
    records.goes()
    other = SqlJournal(records.engine, Spool(tmp_path / "other host", b"k" * 32), "certificates")
    for call in (
        lambda: other.operation(operation),
        lambda: other.undo(operation, "why"),
        lambda: other.begin(operation, "undo/a", RESTORE, {}),
    ):
        with pytest.raises(EvidenceUnavailable, match="does not know the operation"):
            call()


def test_a_closed_operation_is_not_remembered(records: Any, operation: str) -> None:
    records.journal.close(operation, "renewed", {})
    records.goes()
    with pytest.raises(EvidenceUnavailable, match="does not know the operation"):
        restarted(records).operation(operation)


def test_a_tampered_spool_stops_all_but_undoing(records: Any, operation: str) -> None:
    records.goes()
    records.journal.undo(operation, "the check failed")
    records.comes()
    lines = records.spool_folder / "lines"
    lines.write_bytes(lines.read_bytes().replace(b"check", b"chick"))
    with pytest.raises(EvidenceBroken, match="line 1 was changed"):
        records.journal.begin(operation, "switch/b", SWITCH, {})
    with pytest.raises(EvidenceBroken, match="line 1 was changed"):
        replay_spool(records.journal)
    records.journal.undo(operation, "the check failed")
    assert records.journal.begin(operation, "undo/a", RESTORE, {}).first


def test_a_full_disk_is_named_and_undoing_goes_on(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/records.sqlite")
    migrate(engine)
    pages = len((tmp_path / "records.sqlite").read_bytes()) // 4096 + 30
    event.listen(engine, "connect", lambda opened, _: opened.execute(f"PRAGMA max_page_count={pages}"))
    engine.dispose()
    journal = SqlJournal(engine, Spool(tmp_path / "spool", b"k" * 32), "certificates")
    operation = journal.open(
        kind="K", subject="www", workflow_id="w", run="r", who="a", correlation_id="", state={}
    ).operation

    def fill() -> None:
        for number in range(100):
            journal.begin(operation, f"switch/{number}", SWITCH, {"large": "x" * 50_000})

    with pytest.raises(EvidenceUnavailable, match="SQLITE_FULL"):
        fill()
    journal.undo(operation, "the disk is full")
    for number in range(3):
        journal.begin(operation, f"undo/{number}", RESTORE, {"large": "x" * 50_000})
    assert spooled_lines(tmp_path / "spool") > 0
    engine.dispose()

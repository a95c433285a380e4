"""Whoever owns the database can change it: `audit verify` finds it, and says where."""

from typing import Any

import pytest
from sqlalchemy import text

from schemas.errors import EvidenceUnavailable
from schemas.evidence import Event
from store.signing import LogKey
from store.sql.audit import Verification, verify
from store.sql.engine import reading, writing

ORIGIN = "redoubt.invalid/log"
PUBLIC = LogKey(b"\x05" * 32).public
WHAT = Event.CERTIFICATE_SWITCHED


@pytest.fixture
def filled(records: Any) -> Any:
    """Eleven rows under three checkpoints: opened, five steps' intents and outcomes."""
    operation = records.journal.open(
        kind="K", subject="www", workflow_id="w", run="r", who="a", correlation_id="", state={"n": 1}
    ).operation
    for number in range(5):
        records.journal.begin(operation, f"switch/{number}", WHAT, {"n": number})
        records.journal.finish(operation, f"switch/{number}", WHAT, {}, {"n": number})
    for limit in (4, 3, 100):
        records.log.sequence(limit)
    return records


def verified(records: Any, **given: Any) -> Verification:
    return verify(records.engine, ORIGIN, PUBLIC, **given)


def test_an_honest_log_verifies(filled: Any) -> None:
    found = verified(filled)
    assert found.verified, found.findings
    assert (found.size, found.checkpoints, found.waiting, found.open_steps_count) == (11, 3, 0, 0)


def test_what_is_under_way_is_reported_and_no_fault(filled: Any) -> None:
    operation = filled.journal.unfinished("K")[0].operation
    filled.journal.begin(operation, "switch/5", WHAT, {})
    found = verified(filled)
    assert found.verified
    assert found.waiting == 1
    assert [(one.operation, one.step, one.subject) for one in found.open_steps] == [
        (operation, "switch/5", "www")
    ]


CHANGES = {
    "entry": (
        "UPDATE evidence SET entry = :entry WHERE id = 6",
        ["log index 5", "evidence row 6", "step switch/2, intent", "the entry was changed"],
    ),
    "result": (
        "UPDATE evidence SET result = '[9]' WHERE id = 7",
        ["log index 6", "step switch/2, outcome", "the step's result was changed"],
    ),
    "result gone": ("UPDATE evidence SET result = NULL WHERE id = 7", ["the step's result was changed"]),
    "column": (
        "UPDATE evidence SET subject = 'api' WHERE id = 4",
        ["log index 3", "the column subject was changed"],
    ),
    "evidence gone": ("DELETE FROM evidence WHERE id = 5", ["log index 4", "evidence row 5", "is gone"]),
    "leaf": (
        'UPDATE log SET leaf = :hash WHERE "index" = 5',
        ["log index 5", "checkpoint of size 7", "one of the rows 4 to 6 was changed"],
    ),
    "log row gone": (
        'DELETE FROM log WHERE "index" = 5',
        [
            "log index 5",
            "rows are missing: the next one has index 6",
            "evidence row 6",
            "it is not in the log",
        ],
    ),
    "log's end gone": (
        'DELETE FROM log WHERE "index" > 8',
        ["checkpoint of size 11", "the log has only 9 rows: its end was cut off"],
    ),
    "root": (
        "UPDATE checkpoints SET note = REPLACE(note, '7\n', '8\n') WHERE size = 7",
        ["size 7", "is wrong"],
    ),
    "signature": (
        "UPDATE checkpoints SET note = (SELECT c.note FROM checkpoints c WHERE c.size = 4) WHERE size = 7",
        ["checkpoint of size 7", "its note says size 4"],
    ),
    "note": (
        "UPDATE checkpoints SET note = 'nonsense' WHERE size = 4",
        ["checkpoint of size 4", "a note is"],
    ),
    "stored tree": (
        "UPDATE checkpoints SET range = :hash WHERE size = 4",
        ["checkpoint of size 4", "the tree that is stored with it is not the log's"],
    ),
    "newest checkpoint gone": (
        "DELETE FROM checkpoints WHERE size = 11",
        ["log index 7", "no checkpoint covers the rows from here on"],
    ),
    "plan": ("UPDATE operations SET state = '{}'", ["operation 0", "(www)", "its plan was changed"]),
    "direction": ("UPDATE operations SET undoing = true", ["undoing=True, its evidence does not"]),
    "end": ("UPDATE operations SET closed = 'renewed'", ["closed=renewed, its evidence does not"]),
    "operation gone": ("DELETE FROM operations", ["it was opened, and its row is gone"]),
    "opening gone": (
        "DELETE FROM evidence WHERE step = 'operation/opened'",
        ["log index 0", "is gone", "that it was opened is not recorded"],
    ),
    "intent gone": (
        "DELETE FROM evidence WHERE id = 10",
        ["log index 9", "evidence row 11", "step switch/4, outcome", "its intent is not recorded"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_and_named(filled: Any, change: str) -> None:
    statement, says = CHANGES[change]
    values = {"hash": bytes(32), "entry": b'{"facts":{}}'}
    filled.tamper(statement, **{name: value for name, value in values.items() if f":{name}" in statement})
    found = verified(filled)
    assert not found.verified
    told = "\n".join(found.findings)
    assert [part for part in says if part not in told] == [], told


def test_one_change_of_a_leaf_does_not_blame_every_later_row(filled: Any) -> None:
    filled.tamper('UPDATE log SET leaf = :hash WHERE "index" = 1', hash=bytes(32))
    found = verified(filled)
    assert found.findings_count == 2, found.findings


def test_evidence_behind_the_sequencers_back_is_found(filled: Any) -> None:
    filled.tamper("UPDATE evidence SET id = 40 WHERE id = 11")
    filled.tamper("UPDATE log SET evidence_id = 40 WHERE evidence_id = 11")
    insert = "INSERT INTO evidence (id, operation, step, kind, subject, entry) VALUES (20, 'x', 'y', 'note', '', :e)"
    filled.tamper(insert, e=b"{}")
    found = verified(filled)
    assert "evidence row 20 (operation x, step y, note)" in "\n".join(found.findings)
    assert "behind its back" in "\n".join(found.findings)


def test_a_log_that_was_rolled_back_does_not_fit_a_kept_checkpoint(filled: Any) -> None:
    kept = filled.log.checkpoint()
    assert verified(filled, kept=kept).verified
    for statement in (
        "DELETE FROM checkpoints WHERE size > 7",
        'DELETE FROM log WHERE "index" >= 7',
        "DELETE FROM evidence WHERE id > 7",
    ):
        filled.tamper(statement)
    assert verified(filled).verified, "the rest is sound by itself: only what was kept elsewhere shows it"
    found = verified(filled, kept=kept)
    assert "the given checkpoint of size 11: the log has only 7 rows" in "\n".join(found.findings)


def test_a_kept_checkpoint_that_is_none_is_a_finding(filled: Any) -> None:
    assert "the given checkpoint: a note is" in "\n".join(verified(filled, kept="nonsense").findings)


def test_another_key_or_origin_verifies_nothing(filled: Any) -> None:
    other = verify(filled.engine, ORIGIN, LogKey(b"\x06" * 32).public)
    assert "no signature is by the log's key" in "\n".join(other.findings)
    assert not verify(filled.engine, "other.invalid/log", PUBLIC).verified


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE evidence SET subject = 'x'",
        "DELETE FROM evidence",
        "UPDATE log SET leaf = entry FROM evidence",
        "DELETE FROM log",
        "UPDATE checkpoints SET note = ''",
        "DELETE FROM checkpoints",
    ],
)
def test_the_triggers_refuse_changes(filled: Any, statement: str) -> None:
    with pytest.raises(EvidenceUnavailable), writing(filled.engine) as connection:
        connection.execute(text(statement))
    assert verified(filled).verified


def test_replacing_a_row_is_refused_too(filled: Any) -> None:
    if filled.engine.dialect.name == "sqlite":
        statement = "INSERT OR REPLACE INTO evidence SELECT id, operation, step, kind, 'x', entry, result FROM evidence"
    else:
        statement = "TRUNCATE evidence CASCADE"
    with pytest.raises(EvidenceUnavailable) as refused, writing(filled.engine) as connection:
        connection.execute(text(statement))
    assert "evidence" not in refused.value.detail
    with reading(filled.engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM evidence")).scalar() == 11

"""The port `Journal`, as every implementation must keep it: on SQLite and on PostgreSQL."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from schemas.errors import EntryRefused, Fenced, UnknownSubject
from schemas.evidence import Entry, Event, Kind
from store import Context, Journal, Operation
from store.spool import Spool
from store.sql.engine import reading
from store.sql.journal import SqlJournal
from store.sql.log import SqlLog
from store.sql.models import evidence

WHAT = Event.CERTIFICATE_ORDERED


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", b"k" * 32)


@pytest.fixture
def journal(engine: Engine, spool: Spool) -> Journal:
    return SqlJournal(engine, spool, "certificates")


def opened(journal: Journal, subject: str = "www", run: str = "w/1") -> Operation:
    return journal.open(
        kind="CertificateRenewal",
        subject=subject,
        workflow_id="certificate-renewal/www",
        run=run,
        who="alice",
        correlation_id="c-1",
        state={"names": ["www.example.com"], "grace_s": 0.5},
    )


def recorded(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        rows = connection.execute(select(evidence.c.entry).order_by(evidence.c.id)).scalars().all()
    return [json.loads(row) for row in rows]


def test_an_operation_is_opened_with_its_plan(journal: Journal) -> None:
    operation = opened(journal)
    assert operation.state == {"names": ["www.example.com"], "grace_s": 0.5}
    assert (operation.undoing, operation.closed) == (False, None)
    assert journal.operation(operation.operation) == operation


def test_one_operation_is_open_on_a_subject(journal: Journal) -> None:
    first = opened(journal)
    assert opened(journal, run="w/2") == first
    other = opened(journal, "api")
    assert other.operation != first.operation
    assert journal.unfinished("CertificateRenewal") == (first, other)
    assert journal.unfinished("KeyRotation") == ()


def test_many_that_open_at_once_get_the_same_operation(journal: Journal, engine: Engine) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda number: opened(journal, run=f"w/{number}"), range(24)))
    assert len({one.operation for one in got}) == 1
    assert [one["what"] for one in recorded(engine)] == ["operation.opened"]


def test_after_closing_the_next_run_opens_another(journal: Journal, engine: Engine) -> None:
    first = opened(journal)
    journal.close(first.operation, "renewed", {"targets": 3})
    journal.close(first.operation, "another end", {})
    second = opened(journal)
    assert second.operation > first.operation
    assert journal.operation(first.operation).closed == "renewed"
    closings = [one for one in recorded(engine) if one["what"] == "operation.closed"]
    assert [one["facts"] for one in closings] == [{"targets": 3, "outcome": "renewed"}]


def test_closing_says_of_steps_without_an_outcome_that_it_is_not_known(
    journal: Journal, engine: Engine
) -> None:
    operation = opened(journal).operation
    journal.begin(operation, "switch/a", WHAT, {"target": "a"})
    journal.begin(operation, "switch/b", WHAT, {"target": "b"})
    journal.finish(operation, "switch/b", WHAT, {}, {"n": 1})
    journal.close(operation, "undone", {})
    assert journal.finish(operation, "switch/a", WHAT, {"target": "a"}, {"n": 2}) == {"n": 2}
    told = [(one["kind"], one["facts"]) for one in recorded(engine) if one["step"] == "switch/a"]
    assert [kind for kind, _ in told] == ["intent", "outcome", "note"]
    assert told[1][1] == {"outcome": "unknown"}
    assert (told[2][1]["target"], told[2][1]["late"]) == ("a", True)
    assert [one.result for one in journal.steps(operation)] == [None, {"n": 1}]


def test_how_operations_on_a_subject_ended_is_told_newest_first(journal: Journal) -> None:
    for outcome, subject in (("renewed", "www"), ("undone", "www"), ("undone", "api")):
        journal.close(opened(journal, subject).operation, outcome, {})
    opened(journal)
    assert [end.outcome for end in journal.endings("CertificateRenewal", "www")] == ["undone", "renewed"]
    assert [end.outcome for end in journal.endings("CertificateRenewal", "www", 1)] == ["undone"]
    assert journal.endings("KeyRotation", "www") == ()
    first, second = journal.endings("CertificateRenewal", "www")
    assert first.at >= second.at


def test_what_is_kept_is_a_step_that_was_begun_and_finished_and_the_first_counts(
    journal: Journal, engine: Engine
) -> None:
    operation = opened(journal).operation
    journal.keep(operation, "proofs/a", WHAT, {"names": ["www"]}, {"proofs": 1})
    journal.keep(operation, "proofs/a", WHAT, {}, {"proofs": 2})
    assert journal.result(operation, "proofs/a") == {"proofs": 1}
    told = [(one["kind"], one["facts"]["names"]) for one in recorded(engine) if one["step"] == "proofs/a"]
    assert told == [("intent", ["www"]), ("outcome", ["www"])]
    journal.undo(operation, "a test")
    with pytest.raises(Fenced):
        journal.keep(operation, "proofs/b", WHAT, {}, {"proofs": 3})
    journal.close(operation, "undone", {})
    assert [one.step for one in journal.steps(operation)] == ["proofs/a"]


def test_it_tells_whether_an_intent_is_in_the_log(journal: Journal, engine: Engine) -> None:
    operation = opened(journal).operation
    journal.begin(operation, "revoke/a", WHAT, {})
    assert not journal.in_log(operation, "revoke/a")
    SqlLog(engine, "redoubt.invalid/log", b"\x05" * 32).sequence()
    assert journal.in_log(operation, "revoke/a")
    assert not journal.in_log(operation, "revoke/b")


def test_a_step_is_begun_once_and_finished_once(journal: Journal, engine: Engine) -> None:
    operation = opened(journal).operation
    first = journal.begin(operation, "order/shared", WHAT, {"names": ["www.example.com"]})
    again = journal.begin(operation, "order/shared", WHAT, {})
    assert (first.first, first.result) == (True, None)
    assert (again.first, again.result) == (False, None)
    assert journal.result(operation, "order/shared") is None
    assert journal.finish(operation, "order/shared", WHAT, {"url": "u"}, {"url": "u1"}) == {"url": "u1"}
    assert journal.finish(operation, "order/shared", WHAT, {}, {"url": "u2"}) == {"url": "u1"}
    assert journal.begin(operation, "order/shared", WHAT, {}).result == {"url": "u1"}
    assert journal.result(operation, "order/shared") == {"url": "u1"}
    kinds = [one["kind"] for one in recorded(engine) if one["step"] == "order/shared"]
    assert kinds == ["intent", "outcome"]


def test_of_attempts_at_once_one_is_the_first_and_all_get_one_result(journal: Journal) -> None:
    operation = opened(journal).operation

    def attempt(number: int) -> tuple[bool, Any]:
        begun = journal.begin(operation, "order/shared", WHAT, {})
        return begun.first, journal.finish(operation, "order/shared", WHAT, {}, {"by": number})["by"]

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(attempt, range(24)))
    assert sum(first for first, _ in got) == 1
    assert len({by for _, by in got}) == 1


def test_steps_are_listed_in_the_order_in_which_they_were_begun(journal: Journal) -> None:
    operation = opened(journal).operation
    for step in ("b", "a", "c"):
        journal.begin(operation, step, WHAT, {})
    journal.finish(operation, "a", WHAT, {}, {"n": 1})
    assert [(one.step, one.result) for one in journal.steps(operation)] == [
        ("b", None),
        ("a", {"n": 1}),
        ("c", None),
    ]


def test_what_undoes_itself_takes_undo_steps_only(journal: Journal, engine: Engine) -> None:
    operation = opened(journal).operation
    journal.begin(operation, "switch/a", WHAT, {})
    journal.undo(operation, "the third target failed")
    journal.undo(operation, "again")
    assert journal.operation(operation).undoing
    with pytest.raises(Fenced, match="undoes itself"):
        journal.begin(operation, "switch/b", WHAT, {})
    assert journal.begin(operation, "undo/a", WHAT, {}).first
    # What was under way has happened, and is recorded.
    assert journal.finish(operation, "switch/a", WHAT, {}, {"done": True}) == {"done": True}
    whys = [one["facts"]["why"] for one in recorded(engine) if one["what"] == "operation.undo"]
    assert whys == ["the third target failed"]


@pytest.mark.parametrize("step", ["revoke/aa", "destroy/hsm/bb"])
def test_what_has_begun_what_cannot_be_undone_is_not_turned_round(
    journal: Journal, engine: Engine, step: str
) -> None:
    operation = opened(journal).operation
    journal.begin(operation, step, WHAT, {})
    with pytest.raises(Fenced, match=f"{step} was begun"):
        journal.undo(operation, "too late")
    assert not journal.operation(operation).undoing
    assert not [one for one in recorded(engine) if one["what"] == "operation.undo"]
    assert journal.begin(operation, "switch/a", WHAT, {}).first


def test_of_what_cannot_be_undone_and_an_undo_that_begin_at_once_one_wins(journal: Journal) -> None:
    operations = [opened(journal, f"www-{number}").operation for number in range(12)]

    def settle(operation: str) -> bool:
        try:
            return journal.begin(operation, "revoke/aa", WHAT, {}).first
        except Fenced:
            return False

    def turn(operation: str) -> bool:
        try:
            journal.undo(operation, "at once")
        except Fenced:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        both = [(pool.submit(settle, one), pool.submit(turn, one)) for one in operations]
        won = [(settled.result(), turned.result()) for settled, turned in both]
    assert all(settled != turned for settled, turned in won), won


def test_a_closed_operation_takes_no_step(journal: Journal) -> None:
    operation = opened(journal).operation
    journal.close(operation, "renewed", {})
    for step in ("switch/a", "undo/a"):
        with pytest.raises(Fenced, match="is closed"):
            journal.begin(operation, step, WHAT, {})


def test_what_is_not_known_or_was_not_begun_is_refused(journal: Journal) -> None:
    with pytest.raises(UnknownSubject):
        journal.operation("01a1fcb1-0000-7000-8000-000000000000")
    with pytest.raises(UnknownSubject):
        journal.begin("01a1fcb1-0000-7000-8000-000000000000", "a", WHAT, {})
    with pytest.raises(EntryRefused, match="never begun"):
        journal.finish(opened(journal).operation, "a", WHAT, {}, {})


@pytest.mark.parametrize("facts", [{"pem": "x" * 65_536}, {"serial": 2**64}, {"share": float("nan")}])
def test_an_entry_that_cannot_be_recorded_is_refused_before_the_effect(
    journal: Journal, engine: Engine, facts: dict[str, Any]
) -> None:
    operation = opened(journal).operation
    with pytest.raises(EntryRefused):
        journal.begin(operation, "a", WHAT, facts)
    assert journal.steps(operation) == ()
    assert len(recorded(engine)) == 1


def test_after_an_effect_nothing_is_refused_for_its_size(journal: Journal, engine: Engine) -> None:
    operation = opened(journal).operation
    journal.begin(operation, "a", WHAT, {})
    assert journal.finish(operation, "a", WHAT, {"pem": "x" * 65_536}, {"n": 1}) == {"n": 1}
    facts = recorded(engine)[-1]["facts"]
    assert set(facts) == {"facts_sha256", "facts_bytes", "result_sha256"}
    assert facts["facts_bytes"] == 65_546


def test_an_entry_says_who_where_and_when(engine: Engine, spool: Spool) -> None:
    now = Context(who="bob", run="w/2", correlation_id="c-2")
    journal = SqlJournal(engine, spool, "certificates", lambda: now)
    before = datetime.now(UTC)
    operation = opened(journal)
    now = Context()
    journal.begin(operation.operation, "a", WHAT, {"n": 1})
    first, second = recorded(engine)
    assert (first["who"], first["run"], first["correlation_id"]) == ("bob", "w/2", "c-2")
    assert (second["who"], second["run"], second["correlation_id"]) == ("alice", "w/1", "c-1")
    entry = Entry.model_validate(second)
    assert (entry.kind, entry.what, entry.subject, entry.facts) == (Kind.INTENT, WHAT, "www", {"n": 1})
    assert before <= entry.at <= datetime.now(UTC)


def test_a_note_is_recorded_once(journal: Journal, engine: Engine) -> None:
    note = Entry(
        operation="decode-1",
        step="decode",
        kind=Kind.NOTE,
        what=Event.PAYLOAD_DECODED,
        subject="default",
        who="alice",
        at=datetime.now(UTC),
    )
    journal.note(note)
    journal.note(note)
    assert [one["what"] for one in recorded(engine)] == ["payload.decoded"]
    with pytest.raises(EntryRefused, match="kind `note`"):
        journal.note(note.model_copy(update={"kind": Kind.OUTCOME}))

"""The journal on SQL: see `store.Journal` for its promises.

- A step is begun by one INSERT and finished by one INSERT, each in a transaction of its own that has read the
  operation's row under a lock: nobody can close or turn the operation between that look and the commit.
- (operation, step, kind) is unique. Of two attempts at once the first commit wins, and the second finds it.
- An outcome's entry holds its result's hash, an opening's entry the plan's: neither can be exchanged unseen.
- While the store is away only what an operation undoes goes on, into the spool. What is spooled counts as
  recorded: it is replayed before anything else is asked of the store.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Engine, update

from rules.ids import operation_id
from rules.points import reached
from rules.undoing import IRREVOCABLE
from schemas.errors import AlreadyRunning, EntryRefused, EvidenceBroken, EvidenceUnavailable, Fenced
from schemas.evidence import MAX_ENTRY_BYTES, Entry, Event, Kind
from store import Begun, Context, Ending, Operation, Step
from store.away import Away, Remembered
from store.spool import Spool, Spooled, replay_spool
from store.sql.engine import reading, writing
from store.sql.models import operations
from store.sql.rows import (
    CLOSING,
    FAILED,
    JsonObject,
    Row,
    as_operation,
    begun,
    canonical,
    encoded,
    endings_of,
    failures_of,
    hashed,
    insert_evidence,
    insert_once,
    logged,
    open_operations,
    operation_row,
    result_of,
    steps_of,
)

UNDO_PREFIX = "undo/"
_log = logging.getLogger(__name__)


class SqlJournal:
    def __init__(
        self, engine: Engine, spool: Spool, service: str, context: Callable[[], Context] = Context
    ) -> None:
        self._engine: Final = engine
        self.spool: Final = spool
        self._away: Final = Away(spool)
        self._service: Final = service
        self._context: Final = context

    def open(  # noqa: PLR0913  # the port's signature: keywords, each a column
        self,
        *,
        kind: str,
        subject: str,
        workflow_id: str,
        run: str,
        who: str,
        correlation_id: str,
        state: JsonObject,
    ) -> Operation:
        self._catch_up()
        row: Row = {
            "operation": operation_id(),
            "kind": kind,
            "subject": subject,
            "workflow_id": workflow_id,
            "run": run,
            "who": who,
            "correlation_id": correlation_id,
            "state": canonical(state, "the plan").decode(),
        }
        facts: JsonObject = {
            "kind": kind,
            "workflow_id": workflow_id,
            "state_sha256": hashed(state, "the plan"),
        }
        entry = self._entry(row, "operation/opened", Kind.NOTE, Event.OPERATION_OPENED, facts)
        with writing(self._engine) as connection:
            if insert_once(connection, operations, row):
                insert_evidence(connection, entry)
            found = open_operations(connection, kind, subject)
        if not found:
            raise AlreadyRunning(f"The operation on {subject} was being closed just now.", retry_after_s=1)
        return self._remembered(found[0])

    def operation(self, operation: str) -> Operation:
        try:
            self._catch_up(UNDO_PREFIX)  # reading: what undoes must not be stopped by a broken spool
            with reading(self._engine, EvidenceUnavailable) as connection:
                return self._remembered(operation_row(connection, operation, held=False))
        except EvidenceUnavailable:
            return self._away.recall(operation).operation

    def unfinished(self, kind: str) -> tuple[Operation, ...]:
        self._catch_up()
        with reading(self._engine, EvidenceUnavailable) as connection:
            return tuple(as_operation(row) for row in open_operations(connection, kind))

    def endings(self, kind: str, subject: str, most: int = 16) -> tuple[Ending, ...]:
        self._catch_up()
        with reading(self._engine, EvidenceUnavailable) as connection:
            return endings_of(connection, kind, subject, most)

    def begin(self, operation: str, step: str, what: Event, facts: JsonObject) -> Step:
        try:
            self._catch_up(step)
            with writing(self._engine) as connection:
                row = operation_row(connection, operation, held=True)
                _fence(row, step)
                entry = self._entry(row, step, Kind.INTENT, what, facts)
                first = insert_evidence(connection, entry)
                result = None if first else result_of(connection, operation, step)
            self._remembered(row)
            recorded = Step(operation=operation, step=step, result=result, first=first)
        except EvidenceUnavailable:
            if not step.startswith(UNDO_PREFIX):
                raise
            recorded = self._away.begin(self._entry_away(operation, step, Kind.INTENT, what, facts))
        reached("journal.begun", step)
        return recorded

    def finish(
        self, operation: str, step: str, what: Event, facts: JsonObject, result: JsonObject
    ) -> JsonObject:
        facts = {**_bounded(facts), "result_sha256": hashed(result, step)}
        try:
            self._catch_up(step)
            recorded = self._finish(operation, step, what, facts, result)
        except EvidenceUnavailable:
            if not step.startswith(UNDO_PREFIX):
                raise
            entry = self._entry_away(operation, step, Kind.OUTCOME, what, facts)
            recorded = self._away.finish(entry, result)
        reached("journal.finished", step)
        return recorded

    def _finish(
        self, operation: str, step: str, what: Event, facts: JsonObject, result: JsonObject
    ) -> JsonObject:
        with writing(self._engine) as connection:
            row = operation_row(connection, operation, held=True)
            if not begun(connection, operation, step):
                raise EntryRefused(f"{step} is finished but was never begun.")
            entry = self._entry(row, step, Kind.OUTCOME, what, facts)
            if insert_evidence(connection, entry, result):
                return result
            earlier = result_of(connection, operation, step)
            if earlier is None:
                # The operation was closed while this attempt hung: what it did then is told beside the outcome.
                facts = {**facts, "late": True, "late_result_sha256": facts["result_sha256"]}
                del facts["result_sha256"]
                insert_evidence(connection, self._entry(row, step, Kind.NOTE, what, facts))
        return result if earlier is None else earlier

    def keep(self, operation: str, step: str, what: Event, facts: JsonObject, result: JsonObject) -> None:
        self._catch_up(step)
        with writing(self._engine) as connection:
            row = operation_row(connection, operation, held=True)
            _fence(row, step)
            if insert_evidence(connection, self._entry(row, step, Kind.INTENT, what, facts)):
                facts = {**_bounded(facts), "result_sha256": hashed(result, step)}
                insert_evidence(connection, self._entry(row, step, Kind.OUTCOME, what, facts), result)

    def in_log(self, operation: str, step: str) -> bool:
        with reading(self._engine, EvidenceUnavailable) as connection:
            return logged(connection, operation, step)

    def result(self, operation: str, step: str) -> JsonObject | None:
        try:
            self._catch_up(step)
            with reading(self._engine, EvidenceUnavailable) as connection:
                return result_of(connection, operation, step)
        except EvidenceUnavailable:
            if not step.startswith(UNDO_PREFIX):
                raise
            return self._away.result(operation, step)

    def steps(self, operation: str) -> tuple[Begun, ...]:
        self._catch_up(UNDO_PREFIX)
        with reading(self._engine, EvidenceUnavailable) as connection:
            return steps_of(connection, operation)

    def failed(self, operation: str, step: str, code: str, detail: str) -> None:
        self._catch_up()
        with writing(self._engine) as connection:
            facts: JsonObject = {"code": code, "detail": detail}
            row = operation_row(connection, operation, held=False)
            entry = self._entry(row, f"{FAILED}{step}", Kind.NOTE, Event.STEP_FAILED, _bounded(facts))
            insert_evidence(connection, entry)

    def failures(self, operation: str) -> tuple[str, ...]:
        self._catch_up(UNDO_PREFIX)
        with reading(self._engine, EvidenceUnavailable) as connection:
            return failures_of(connection, operation)

    def undo(self, operation: str, why: str, by: JsonObject | None = None) -> None:
        facts: JsonObject = {"why": why, **(by or {})}
        try:
            self._catch_up(UNDO_PREFIX)
            with writing(self._engine) as connection:
                row = operation_row(connection, operation, held=False)
                if _turn(connection, operation):
                    _refuse_if_settled(connection, row)
                    entry = self._entry(row, "undo", Kind.NOTE, Event.OPERATION_UNDO, facts)
                    insert_evidence(connection, entry)
            self._remembered({**row, "undoing": True})
        except EvidenceUnavailable:
            self._away.undo(self._entry_away(operation, "undo", Kind.NOTE, Event.OPERATION_UNDO, facts))

    def close(self, operation: str, outcome: str, facts: JsonObject) -> None:
        self._catch_up(UNDO_PREFIX)
        ended = update(operations).where(operations.c.operation == operation, operations.c.closed.is_(None))
        with writing(self._engine) as connection:
            row = operation_row(connection, operation, held=False)
            if connection.execute(ended.values(closed=outcome)).rowcount:
                self._give_up_on_unknown(connection, row)
                facts = {**_bounded(facts), "outcome": outcome}
                entry = self._entry(row, CLOSING, Kind.NOTE, Event.OPERATION_CLOSED, facts)
                insert_evidence(connection, entry)
        self._away.forget(operation)

    def _give_up_on_unknown(self, connection: Connection, row: Row) -> None:
        """Nobody will look any more how these steps ended: the evidence says so, and does not stay open."""
        for one in steps_of(connection, row["operation"]):
            if one.ended is None:
                facts: JsonObject = {"outcome": "unknown"}
                insert_evidence(connection, self._entry(row, one.step, Kind.OUTCOME, one.what, facts))

    def note(self, entry: Entry) -> None:
        if entry.kind is not Kind.NOTE:
            raise EntryRefused("A note is of kind `note`: intents and outcomes belong to a step.")
        with writing(self._engine) as connection:
            insert_evidence(connection, entry)

    def record(self, spooled: Spooled) -> None:
        """For `store.spool.replay_spool`: what was spooled, at the time at which it happened."""
        entry = spooled.entry
        with writing(self._engine) as connection:
            if entry.what is Event.OPERATION_UNDO:
                _turn(connection, entry.operation)
            insert_evidence(connection, entry, spooled.result)

    def _catch_up(self, step: str = "") -> None:
        """The spool goes first; one that is broken stops everything but undoing."""
        try:
            replay_spool(self)
        except EvidenceBroken:
            if not step.startswith(UNDO_PREFIX):
                raise

    def _remembered(self, row: Row) -> Operation:
        operation = as_operation(row)
        try:
            self._away.remember(Remembered(operation=operation, run=row["run"], who=row["who"]))
        except EvidenceUnavailable as full:
            _log.warning("this host could not go on undoing without the store: %s", full.in_full)
        return operation

    def _entry_away(self, operation: str, step: str, kind: Kind, what: Event, facts: JsonObject) -> Entry:
        known = self._away.recall(operation)
        row = {**known.operation.model_dump(), "run": known.run, "who": known.who}
        entry = self._entry(row, step, kind, what, facts)
        encoded(entry)  # refused before the effect, here too
        return entry

    def _entry(self, row: Row, step: str, kind: Kind, what: Event, facts: JsonObject) -> Entry:
        context = self._context()
        return Entry(
            operation=row["operation"],
            step=step,
            kind=kind,
            what=what,
            subject=row["subject"],
            who=context.who or row["who"] or f"service:{self._service}",
            run=context.run or row["run"],
            correlation_id=context.correlation_id or row["correlation_id"],
            at=datetime.now(UTC),
            facts=facts,
        )


def _fence(row: Row, step: str) -> None:
    if row["closed"] is not None:
        raise Fenced(f"The operation is closed ({row['closed']}), so {step} was not begun.")
    if row["undoing"] and not step.startswith(UNDO_PREFIX):
        raise Fenced(f"The operation undoes itself, so {step} was not begun.")


def _refuse_if_settled(connection: Connection, row: Row) -> None:
    """After `_turn`: who is beginning such a step holds the operation's row, and has committed or will be fenced."""
    for one in steps_of(connection, row["operation"]):
        if one.step.startswith(IRREVOCABLE):
            raise Fenced(
                f"The operation on {row['subject']} is not undone: {one.step} was begun, and can't be undone."
            )


def _turn(connection: Connection, operation: str) -> bool:
    """Make the operation undo itself; whether this call did."""
    turned = update(operations).where(
        operations.c.operation == operation, operations.c.closed.is_(None), ~operations.c.undoing
    )
    return connection.execute(turned.values(undoing=True)).rowcount == 1


def _bounded(facts: JsonObject) -> JsonObject:
    """After an effect nothing is refused for its size: what is too large is recorded by its hash."""
    encoded_facts = canonical(facts, "the outcome")
    if len(encoded_facts) <= MAX_ENTRY_BYTES // 2:
        return facts
    return {"facts_sha256": hashed(facts, "the outcome"), "facts_bytes": len(encoded_facts)}

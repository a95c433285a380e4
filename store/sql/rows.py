"""How the journal's values become rows, and what it asks the tables."""

import hashlib
import json
from typing import Any, Final

from pydantic import JsonValue, TypeAdapter
from sqlalchemy import Connection, Table, bindparam, select, text
from sqlalchemy.dialects import postgresql, sqlite

from rules.canonical import NotCanonicalError, encode
from schemas.errors import EntryRefused, UnknownSubject
from schemas.evidence import MAX_ENTRY_BYTES, Entry, Kind
from store import Begun, Ending, Operation
from store.sql.models import evidence, log, operations

CLOSING = "operation/closed"
"""The step under which the end of an operation is noted."""

FAILED = "failed/"
"""What precedes a step's name where it is noted that an attempt at it has failed."""

_OPERATION: Final = select(operations).where(operations.c.operation == bindparam("operation"))
_OPERATION_HELD: Final = _OPERATION.with_for_update(read=True)


def _steps() -> Any:
    intent, outcome = evidence.alias("intent"), evidence.alias("outcome")
    same = (outcome.c.operation == intent.c.operation) & (outcome.c.step == intent.c.step)
    return (
        select(intent.c.step, intent.c.entry, outcome.c.entry.label("ended"), outcome.c.result)
        .select_from(intent.outerjoin(outcome, same & (outcome.c.kind == Kind.OUTCOME)))
        .where(intent.c.operation == bindparam("operation"), intent.c.kind == Kind.INTENT)
        .order_by(intent.c.id)
    )


_STEPS: Final = _steps()
"""Made once, as are those above: to put one together takes as long as to run it."""

JsonObject = dict[str, JsonValue]
Row = dict[str, Any]
_objects: TypeAdapter[JsonObject] = TypeAdapter(dict[str, JsonValue])


def encoded(entry: Entry) -> bytes:
    """The entry as it is hashed. Raises `EntryRefused` for one that is too large or can't be canonical."""
    line = canonical(entry.model_dump(mode="json"), entry.step)
    if len(line) > MAX_ENTRY_BYTES:
        raise EntryRefused(f"The entry of {entry.step} has {len(line)} bytes; {MAX_ENTRY_BYTES} is the most.")
    return line


def canonical(value: JsonObject, what: str) -> bytes:
    try:
        return encode(value)
    except NotCanonicalError as refused:
        raise EntryRefused(f"What {what} records can't be recorded: {refused}.") from None


def hashed(value: JsonObject, what: str) -> str:
    return hashlib.sha256(canonical(value, what)).hexdigest()


def parsed(text: str) -> JsonObject:
    return _objects.validate_json(text)


def as_operation(row: Row) -> Operation:
    fields = {name: row[name] for name in Operation.model_fields if name != "state"}
    return Operation(**fields, state=parsed(row["state"]))


def operation_row(connection: Connection, operation: str, *, held: bool) -> Row:
    """The operation's row; `held`: as it is until this transaction ends (SQLite's write lock holds it)."""
    query = _OPERATION_HELD if held else _OPERATION
    row = connection.execute(query, {"operation": operation}).mappings().first()
    if row is None:
        raise UnknownSubject(f"The journal has no operation {operation}.")
    return dict(**row)


def open_operations(connection: Connection, kind: str, subject: str | None = None) -> list[Row]:
    """Oldest first; at most one on a subject."""
    query = select(operations).where(operations.c.kind == kind, operations.c.closed.is_(None))
    if subject is not None:
        query = query.where(operations.c.subject == subject)
    rows = connection.execute(query.order_by(operations.c.operation)).mappings()
    return [dict(**row) for row in rows]


def endings_of(connection: Connection, kind: str, subject: str, most: int) -> tuple[Ending, ...]:
    """Newest first, in the order in which they were recorded."""
    query = (
        select(operations.c.operation, operations.c.closed, evidence.c.entry)
        .join_from(evidence, operations, evidence.c.operation == operations.c.operation)
        .where(evidence.c.subject == subject, evidence.c.step == CLOSING, evidence.c.kind == Kind.NOTE)
        .where(operations.c.kind == kind, operations.c.closed.is_not(None))
        .order_by(evidence.c.id.desc())
        .limit(most)
    )
    rows = connection.execute(query)
    return tuple(
        Ending(operation=row.operation, outcome=row.closed, at=Entry.model_validate_json(row.entry).at)
        for row in rows
    )


def steps_of(connection: Connection, operation: str) -> tuple[Begun, ...]:
    """Each step that was begun, in that order."""
    return tuple(_begun(row) for row in connection.execute(_STEPS, {"operation": operation}))


def _begun(row: Any) -> Begun:
    # All of an entry is validated where it is written: of what we have written ourselves two fields are needed here.
    entry = json.loads(row.entry)
    return Begun(
        step=row.step,
        what=entry["what"],
        result=None if row.result is None else parsed(row.result),
        at=entry["at"],
        ended=None if row.ended is None else json.loads(row.ended)["at"],
    )


def failures_of(connection: Connection, operation: str) -> tuple[str, ...]:
    query = (
        select(evidence.c.step)
        .where(evidence.c.operation == operation, evidence.c.kind == Kind.NOTE)
        .where(evidence.c.step.startswith(FAILED, autoescape=True))
        .order_by(evidence.c.id)
    )
    return tuple(row.step.removeprefix(FAILED) for row in connection.execute(query))


def begun(connection: Connection, operation: str, step: str) -> bool:
    return connection.execute(_step(evidence.c.id, operation, step, Kind.INTENT)).first() is not None


def logged(connection: Connection, operation: str, step: str) -> bool:
    query = _step(log.c.evidence_id, operation, step, Kind.INTENT).join(
        log, log.c.evidence_id == evidence.c.id
    )
    return connection.execute(query).first() is not None


def result_of(connection: Connection, operation: str, step: str) -> JsonObject | None:
    found = connection.execute(_step(evidence.c.result, operation, step, Kind.OUTCOME)).scalar()
    return None if found is None else parsed(found)


def insert_evidence(connection: Connection, entry: Entry, result: JsonObject | None = None) -> bool:
    """Whether this call inserted it; False if the step has an entry of this kind already."""
    row = {
        "operation": entry.operation,
        "step": entry.step,
        "kind": entry.kind,
        "subject": entry.subject,
        "entry": encoded(entry),
        "result": None if result is None else canonical(result, entry.step).decode(),
    }
    return insert_once(connection, evidence, row)


def alone(connection: Connection, name: str) -> None:
    """Until the transaction ends, nobody else is in one under this name (SQLite's write lock sees to it anyway)."""
    if connection.dialect.name == "postgresql":
        key = hashlib.sha256(b"redoubt records\n" + name.encode()).digest()[:8]
        lock = int.from_bytes(key, "big", signed=True)
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lock})


def insert_once(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert unless a unique key has it already; whether this call did."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(row).on_conflict_do_nothing().inline()
    # Without the option SQLAlchemy does not ask how many rows an INSERT has made.
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def _step(column: Any, operation: str, step: str, kind: Kind) -> Any:
    return select(column).where(
        evidence.c.operation == operation, evidence.c.step == step, evidence.c.kind == kind
    )

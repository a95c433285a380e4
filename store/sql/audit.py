"""Verification of the records as they lie in the database: `rules.audit` over its rows, in one moment of it.

Beside the log itself it looks for what the log can't show: evidence that no sequencer will ever come to, outcomes
without an intent, operations whose row says something else than their evidence. It reports, as no fault, what is
under way: rows that wait for the sequencer and steps that were begun and not yet finished.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from heapq import merge
from typing import Any

from sqlalchemy import Connection, Engine, and_, func, select, text

from rules.audit import Findings, Row, Signed, Walk
from rules.checkpoints import Checkpoint, NoteError, open_checkpoint, parse_checkpoint, parse_note
from schemas.contract import Contract
from schemas.evidence import Kind
from store.signing import PublicKey
from store.sql.engine import reading
from store.sql.models import checkpoints, evidence, log, operations

_PAGE = 1000
_LISTED = 100


class OpenStep(Contract):
    operation: str
    step: str
    subject: str


class Verification(Contract):
    verified: bool
    origin: str
    size: int
    root: str
    checkpoints: int
    waiting: int
    """Rows that wait for the sequencer."""
    open_steps: tuple[OpenStep, ...]
    """Begun and not finished: the first hundred."""
    open_steps_count: int
    findings: tuple[str, ...]
    """What does not verify: the first hundred."""
    findings_count: int


def verify(
    engine: Engine,
    origin: str,
    public_key: bytes,
    *,
    kept: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Verification:
    """Look at everything. `kept`: a checkpoint from outside that the log must still begin with."""
    key = PublicKey(public_key)

    def opens(note: str) -> Checkpoint:
        return open_checkpoint(note, origin, public_key, key.verifies)

    findings = Findings()
    walk = Walk(opens, findings)
    with reading(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL statement_timeout = '30min'"))
        total = _count(connection, select(func.count()).select_from(log))
        signed = merge(_signed(connection), _outside(kept, findings), key=lambda one: one.size)
        size = walk.over(_rows(connection), signed, lambda done: progress(done, total))
        _never_sequenced(connection, findings)
        _without_intent(connection, findings)
        _operations(connection, findings)
        open_steps = [OpenStep(**row) for row in connection.execute(_open_steps().limit(_LISTED)).mappings()]
        return Verification(
            verified=not findings.count,
            origin=origin,
            size=size,
            root=walk.root.hex(),
            checkpoints=_count(connection, select(func.count()).select_from(checkpoints)),
            waiting=_count(connection, select(func.count()).select_from(_unsequenced().subquery())),
            open_steps=tuple(open_steps),
            open_steps_count=_count(connection, select(func.count()).select_from(_open_steps().subquery())),
            findings=tuple(str(finding) for finding in findings.first),
            findings_count=findings.count,
        )


def entries(
    engine: Engine, *, operation: str | None = None, subject: str | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """The newest entries, oldest first, each with its place in the log (None: not yet in it)."""
    query = (
        select(evidence.c.entry, log.c.index)
        .outerjoin(log, log.c.evidence_id == evidence.c.id)
        .order_by(evidence.c.id.desc())
        .limit(limit)
    )
    if operation is not None:
        query = query.where(evidence.c.operation == operation)
    if subject is not None:
        query = query.where(evidence.c.subject == subject)
    with reading(engine) as connection:
        found = connection.execute(query).all()
    return [{"index": index, **json.loads(entry)} for entry, index in reversed(found)]


def newest_checkpoint(engine: Engine) -> str | None:
    query = select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
    with reading(engine) as connection:
        return connection.execute(query).scalar()


def _rows(connection: Connection) -> Iterator[Row]:
    columns = (
        log.c.index.label("place"),  # a row's own `index` is a method
        log.c.evidence_id,
        log.c.leaf,
        evidence.c.entry,
        evidence.c.operation,
        evidence.c.step,
        evidence.c.kind,
        evidence.c.subject,
        evidence.c.result,
    )
    query = select(*columns).outerjoin_from(log, evidence, evidence.c.id == log.c.evidence_id)
    start = 0
    while page := connection.execute(
        query.where(log.c.index >= start).order_by(log.c.index).limit(_PAGE)
    ).all():
        for row in page:
            known = {} if row.entry is None else dict(zip(_KEYS, row[4:], strict=True))
            yield Row(row.place, row.evidence_id, row.leaf, row.entry, **known)
        start = page[-1].place + 1


_KEYS = ("operation", "step", "kind", "subject", "result")


def _signed(connection: Connection) -> Iterator[Signed]:
    query = select(checkpoints.c.size, checkpoints.c.note, checkpoints.c.range)
    last = -1
    while page := connection.execute(
        query.where(checkpoints.c.size > last).order_by(checkpoints.c.size).limit(_PAGE)
    ).all():
        yield from (Signed(size, note, tree) for size, note, tree in page)
        last = page[-1].size


def _outside(kept: str | None, findings: Findings) -> list[Signed]:
    if kept is None:
        return []
    try:
        return [Signed(parse_checkpoint(parse_note(kept).body).size, kept, origin="the given checkpoint")]
    except NoteError as wrong:
        findings.add("the given checkpoint", str(wrong))
        return []


def _unsequenced() -> Any:
    return (
        select(evidence.c.id, evidence.c.operation, evidence.c.step, evidence.c.kind)
        .outerjoin(log, log.c.evidence_id == evidence.c.id)
        .where(log.c.index.is_(None))
    )


def _never_sequenced(connection: Connection, findings: Findings) -> None:
    last = select(func.max(log.c.evidence_id)).scalar_subquery()
    for row in connection.execute(_unsequenced().where(evidence.c.id < last).order_by(evidence.c.id)):
        findings.add(
            f"evidence row {row.id} (operation {row.operation}, step {row.step}, {row.kind})",
            "it is not in the log, and rows after it are: it was removed from the log or put in behind its back",
        )


def _without_intent(connection: Connection, findings: Findings) -> None:
    intent, outcome = evidence.alias("intent"), evidence.alias("outcome")
    same = _same_step(intent, outcome, Kind.INTENT)
    query = select(outcome.c.id, outcome.c.operation, outcome.c.step).outerjoin_from(outcome, intent, same)
    for row in connection.execute(query.where(outcome.c.kind == Kind.OUTCOME, intent.c.id.is_(None))):
        findings.add(
            f"evidence row {row.id} (operation {row.operation}, step {row.step}, outcome)",
            "its intent is not recorded",
        )


def _open_steps() -> Any:
    intent, outcome = evidence.alias("intent"), evidence.alias("outcome")
    same = _same_step(outcome, intent, Kind.OUTCOME)
    return (
        select(intent.c.operation, intent.c.step, intent.c.subject)
        .outerjoin_from(intent, outcome, same)
        .where(intent.c.kind == Kind.INTENT, outcome.c.id.is_(None))
        .order_by(intent.c.id)
    )


def _same_step(wanted: Any, given: Any, kind: Kind) -> Any:
    return and_(wanted.c.operation == given.c.operation, wanted.c.step == given.c.step, wanted.c.kind == kind)


def _operations(connection: Connection, findings: Findings) -> None:
    """Each operation's row against its evidence: the plan, the direction, the end."""
    opened, turned, closed = (evidence.alias(name) for name in ("opened", "turned", "closed_"))
    query = (
        select(operations, opened.c.entry, turned.c.id.label("turned"), closed.c.id.label("ended"))
        .outerjoin_from(operations, opened, _noted(opened, "operation/opened"))
        .outerjoin(turned, _noted(turned, "undo"))
        .outerjoin(closed, _noted(closed, "operation/closed"))
        .order_by(operations.c.operation)
    )
    last = ""
    while page := connection.execute(query.where(operations.c.operation > last).limit(_PAGE)).all():
        for row in page:
            for what in _disagreements(row):
                findings.add(f"operation {row.operation} ({row.subject})", what)
        last = page[-1].operation
    gone = (
        select(evidence.c.operation)
        .outerjoin(operations, operations.c.operation == evidence.c.operation)
        .where(evidence.c.step == "operation/opened", operations.c.operation.is_(None))
    )
    for (operation,) in connection.execute(gone):
        findings.add(f"operation {operation}", "it was opened, and its row is gone")


def _noted(note: Any, step: str) -> Any:
    return and_(
        note.c.operation == operations.c.operation, note.c.step == step, note.c.kind == Kind.NOTE.value
    )


def _disagreements(row: Any) -> Iterator[str]:
    if row.entry is None:
        yield "that it was opened is not recorded"
    elif json.loads(row.entry)["facts"].get("state_sha256") != hashlib.sha256(row.state.encode()).hexdigest():
        yield "its plan was changed: its hash is not the one that was recorded"
    if bool(row.undoing) != (row.turned is not None):
        yield f"its row says undoing={bool(row.undoing)}, its evidence does not"
    if (row.closed is not None) != (row.ended is not None):
        yield f"its row says closed={row.closed}, its evidence does not"


def _count(connection: Connection, query: Any) -> int:
    return int(connection.execute(query).scalar_one())

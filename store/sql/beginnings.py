"""Which operations have begun, on SQL: see `store.beginnings.Beginnings` for the promises."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, Engine, or_, select

from rules.limits import Begun, reaches_back, refusal
from schemas.errors import EvidenceUnavailable
from schemas.limits import Limit
from store.sql.engine import reading, writing
from store.sql.models import beginnings, operations
from store.sql.rows import alone, insert_once

_LOCK: Final = "beginnings"


class SqlBeginnings:
    def __init__(self, engine: Engine) -> None:
        self._engine: Final = engine

    def has(self, operation: str) -> bool:
        with reading(self._engine, EvidenceUnavailable) as connection:
            return _has(connection, operation)

    def begin(self, operation: str, one: Begun, limits: Sequence[Limit]) -> str:
        with writing(self._engine) as connection:
            alone(connection, _LOCK)
            if _has(connection, operation):
                return ""
            if why := refusal(limits, one, _seen(connection, limits, one.at)):
                return why
            row = {"operation": operation, "kind": one.workflow_type, "subject": one.subject}
            insert_once(connection, beginnings, {**row, "at_ms": _ms(one.at)})
            return ""

    def seen(self, limits: Sequence[Limit], now: datetime) -> tuple[Begun, ...]:
        with reading(self._engine, EvidenceUnavailable) as connection:
            return _seen(connection, limits, now)


def _has(connection: Connection, operation: str) -> bool:
    found = select(beginnings.c.operation).where(beginnings.c.operation == operation)
    return connection.execute(found).first() is not None


def _seen(connection: Connection, limits: Sequence[Limit], now: datetime) -> tuple[Begun, ...]:
    if not limits:
        return ()
    recent = beginnings.c.at_ms >= _ms(reaches_back(limits, now))
    query = (
        select(beginnings.c.kind, beginnings.c.subject, beginnings.c.at_ms, operations.c.closed)
        .join(operations, operations.c.operation == beginnings.c.operation)
        .where(or_(recent, operations.c.closed.is_(None)))
    )
    return tuple(
        Begun(row.kind, row.subject, datetime.fromtimestamp(row.at_ms / 1000, UTC), row.closed is None)
        for row in connection.execute(query)
    )


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)

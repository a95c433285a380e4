"""How often FIDO2 keys have signed, in the transaction of what each signature is for."""

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from rules.counters import Counted, Neighbours, cloned
from store.sql.models import key_counts
from store.sql.rows import alone, insert_once


def take(connection: Connection, one: Counted) -> str:
    """Keep a signature's count; why it seems to be a clone's, or "". Again: no effect, and ""."""
    alone(connection, f"counter {one.key}")
    why = cloned(one, _known(connection, one))
    # A key that does not count has one row, of whatever it has signed first.
    if not why:
        at = None if one.at is None else _ms(one.at)
        row = {"key": one.key, "counter": one.counter, "statement": one.statement, "at_ms": at}
        insert_once(connection, key_counts, row)
    return why


def _known(connection: Connection, one: Counted) -> Neighbours:
    table = key_counts
    same = select(table.c.statement).where(table.c.key == one.key, table.c.counter == one.counter)
    below = select(func.max(table.c.at_ms)).where(table.c.key == one.key, table.c.counter < one.counter)
    above = select(func.min(table.c.at_ms)).where(table.c.key == one.key, table.c.counter > one.counter)
    counted = select(table.c.counter).where(table.c.key == one.key, table.c.counter > 0).limit(1)
    return Neighbours(
        same=connection.execute(same).scalar(),
        below=_at(connection.execute(below).scalar()),
        above=_at(connection.execute(above).scalar()),
        has_counted=connection.execute(counted).first() is not None,
    )


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _at(ms: int | None) -> datetime | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)

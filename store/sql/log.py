"""The evidence log on SQL: see `store.Log` for its promises.

One sequencer at a time moves evidence into the tree, in the order in which rows were recorded:

- PostgreSQL hands out row IDs before their transactions commit, so a lower ID can appear after a higher one.
  Who inserts evidence holds a shared advisory lock until it commits (a trigger sees to it); the sequencer takes
  it alone for a moment: after that, the IDs up to the greatest that is visible are settled, and none can appear
  among them. SQLite has one writer, so its IDs are always settled.
- A second advisory lock (SQLite: the write lock) is held through the transaction that appends and signs, so
  two sequencers can't interleave; unique keys on index, row and size would refuse it besides.
- Before it signs, the sequencer checks that the newest checkpoint is its own, that the stored compact range has
  the root which that checkpoint says, and that the log has as many rows. If not it raises `EvidenceBroken`: an
  inconsistent checkpoint is never signed. The stored rows themselves are checked by `redoubt audit verify`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, text

from rules.checkpoints import Checkpoint, open_checkpoint, sign
from rules.merkle import CompactRange, leaf_hash
from rules.points import reached
from schemas.errors import DependencyUnavailable, EvidenceBroken
from store import LogRow
from store.signing import LogKey, PublicKey
from store.sql.engine import reading, writing
from store.sql.models import checkpoints, evidence, log

SETTLE_LOCK = 0x5265646F_75627401
"""Held, shared, by every transaction that inserts evidence (migration 0001)."""
_SEQUENCER_LOCK = 0x5265646F_75627402
SETTLE_WAIT_MS = 1000
_PAGE = 500


class SqlLog:
    def __init__(self, engine: Engine, origin: str, seed: bytes) -> None:
        self._engine = engine
        self._origin = origin
        self._key = LogKey(seed)
        self._public = PublicKey(self._key.public)

    def sequence(self, limit: int = 1000) -> int:
        settled = self._settled()
        with writing(self._engine, DependencyUnavailable) as connection:
            if self._engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _SEQUENCER_LOCK})
            tree = self._newest(connection)
            rows = connection.execute(_unsequenced(settled, limit)).all()
            if rows or _never_signed(connection):
                self._append(connection, tree, rows)
        return len(rows)

    def size(self) -> int:
        with reading(self._engine) as connection:
            return _size(connection)

    def rows(self, start: int = 0) -> Iterator[LogRow]:
        while page := self._page(start):
            yield from page
            start = page[-1].index + 1

    def checkpoint(self) -> str | None:
        with reading(self._engine) as connection:
            newest = select(checkpoints.c.note).order_by(checkpoints.c.size.desc()).limit(1)
            return connection.execute(newest).scalar()

    def _settled(self) -> int:
        """The greatest row ID up to which no row can appear any more."""
        newest = select(func.coalesce(func.max(evidence.c.id), 0))
        with writing(self._engine, DependencyUnavailable) as connection:
            if self._engine.dialect.name == "postgresql":
                # Writers queue behind this wait, so it is short: a writer that hangs is waited for next time.
                connection.execute(text(f"SET LOCAL lock_timeout = {SETTLE_WAIT_MS}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SETTLE_LOCK})
            return int(connection.execute(newest).scalar_one())

    def _newest(self, connection: Connection) -> CompactRange:
        """The tree as it was last signed, once it is sure that it is that tree. Raises `EvidenceBroken`."""
        rows = _size(connection)
        newest = connection.execute(select(checkpoints).order_by(checkpoints.c.size.desc()).limit(1)).first()
        if newest is None:
            if rows:
                raise EvidenceBroken(f"The log has {rows} rows and no checkpoint.")
            return CompactRange()
        tree, signed = self._stored(newest)
        if signed != Checkpoint(self._origin, tree.size, tree.root()) or tree.size != rows:
            raise EvidenceBroken(
                f"The newest checkpoint says size {signed.size}; the log has {rows} rows and a stored tree of "
                f"{tree.size} leaves that {'agrees' if tree.root() == signed.root else 'does not agree'} with it."
            )
        return tree

    def _stored(self, row: Any) -> tuple[CompactRange, Checkpoint]:
        try:
            tree = CompactRange.decode(row.size, row.range)
            return tree, open_checkpoint(row.note, self._origin, self._key.public, self._public.verifies)
        except ValueError as wrong:
            raise EvidenceBroken(
                f"The checkpoint of size {row.size} can't be gone on from: {wrong}."
            ) from None

    def _append(self, connection: Connection, tree: CompactRange, rows: Sequence[Any]) -> None:
        placed = []
        for row in rows:
            leaf = leaf_hash(row.entry)
            placed.append({"index": tree.size, "evidence_id": row.id, "leaf": leaf})
            tree = tree.append(leaf)
        if placed:
            connection.execute(insert(log), placed)
        reached("log.appended")
        signed = Checkpoint(self._origin, tree.size, tree.root())
        note = sign(signed.body(), self._origin, self._key.public, self._key.sign)
        connection.execute(
            insert(checkpoints).values(size=tree.size, root=signed.root, range=tree.encode(), note=note)
        )
        reached("log.signed")

    def _page(self, start: int) -> list[LogRow]:
        found = (
            select(log.c.index, evidence.c.entry)
            .join(evidence, evidence.c.id == log.c.evidence_id)
            .where(log.c.index >= start)
            .order_by(log.c.index)
            .limit(_PAGE)
        )
        with reading(self._engine) as connection:
            return [LogRow(index=index, entry=entry) for index, entry in connection.execute(found)]


def _size(connection: Connection) -> int:
    return int(connection.execute(select(func.coalesce(func.max(log.c.index) + 1, 0))).scalar_one())


def _never_signed(connection: Connection) -> bool:
    """An empty log is signed too: a verifier that starts with it sees all that follows."""
    return connection.execute(select(checkpoints.c.size).limit(1)).first() is None


def _unsequenced(settled: int, limit: int) -> Any:
    """In the order of IDs, so the greatest that the log has tells where to go on."""
    last = select(func.coalesce(func.max(log.c.evidence_id), 0)).scalar_subquery()
    return (
        select(evidence.c.id, evidence.c.entry)
        .where(evidence.c.id > last, evidence.c.id <= settled)
        .order_by(evidence.c.id)
        .limit(limit)
    )

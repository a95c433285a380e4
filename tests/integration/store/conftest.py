"""The records on each database, what takes that database away, and what changes it behind its triggers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from store.spool import Spool
from store.sql.engine import connect
from store.sql.journal import SqlJournal
from store.sql.log import SqlLog
from store.sql.migrations import migrate
from store.sql.models import APPEND_ONLY

ORIGIN = "redoubt.invalid/log"
SEED = b"\x05" * 32


@dataclass
class Records:
    url: str
    engine: Engine
    spool: Spool
    spool_folder: Path
    journal: SqlJournal
    log: SqlLog
    goes: Callable[[], None]
    """The database goes away…"""
    comes: Callable[[], None]
    """… and comes back."""

    def tamper(self, statement: str, **values: Any) -> None:
        """As who owns the database could: without triggers and foreign keys."""
        owner = create_engine(self.url)
        with owner.begin() as connection:
            if owner.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL session_replication_role = replica"))
            else:
                for table, verb in product(APPEND_ONLY, ("update", "delete")):
                    connection.execute(text(f"DROP TRIGGER IF EXISTS {table}_refuses_{verb}"))
            connection.execute(text(statement), values)
        owner.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Records]:
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
        goes, comes = _postgresql_outage(url)
    else:
        url = f"sqlite:///{tmp_path}/records.sqlite"
        goes, comes = _sqlite_outage(tmp_path / "records.sqlite")
    engine = connect(url)
    migrate(engine)

    def go() -> None:
        engine.dispose()
        goes()

    folder = tmp_path / "spool"
    spool = Spool(folder, b"k" * 32)
    journal = SqlJournal(engine, spool, "certificates")
    yield Records(url, engine, spool, folder, journal, SqlLog(engine, ORIGIN, SEED), go, comes)
    engine.dispose()


def _sqlite_outage(file: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    elsewhere = file.with_suffix(".elsewhere")

    def goes() -> None:
        file.rename(elsewhere)
        file.mkdir()  # so that it can't be opened, by root neither

    def comes() -> None:
        file.rmdir()
        elsewhere.rename(file)

    return goes, comes


def _postgresql_outage(url: str) -> tuple[Callable[[], None], Callable[[], None]]:
    parts = make_url(url)
    assert parts.database is not None
    name = sql.Identifier(parts.database)

    def admin(statement: sql.Composed) -> None:
        with psycopg.connect(
            host=parts.host, port=parts.port, user=parts.username, password=parts.password, autocommit=True
        ) as connection:
            connection.execute(statement)
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [parts.database]
            )

    def goes() -> None:
        admin(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))

    def comes() -> None:
        admin(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))

    return goes, comes

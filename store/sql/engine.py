"""The database: how it is opened, and how its errors leave.

- A write transaction takes its lock when it begins (SQLite: BEGIN IMMEDIATE), is durable when it has ended
  (SQLite: WAL with synchronous=FULL) and never waits without end.
- A reading transaction sees one moment of the database from its first to its last row.
- What the database says in an error stays inside: what leaves names a condition, never SQL, a value or a path.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry

from schemas.errors import DependencyUnavailable, EvidenceUnavailable, InvalidSettings, RedoubtError

WAIT_FOR_LOCK_MS = 10_000
STATEMENT_MS = 30_000
LOOPBACK = frozenset({None, "", "localhost", "127.0.0.1", "::1"})
"""Hosts to which nothing travels outside this machine; None is a Unix socket."""
CONNECT_S = 5
_WRITES = "redoubt_writes"

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    f"busy_timeout={WAIT_FOR_LOCK_MS}",
    "foreign_keys=ON",
    "recursive_triggers=ON",  # else INSERT OR REPLACE deletes a row without asking the delete trigger
    "trusted_schema=OFF",
)


def connect(url: str, password: bytes | None = None) -> Engine:
    """The engine behind `url`; nothing is contacted yet. Raises `InvalidSettings` for a URL of another kind."""
    try:
        target = make_url(url)
    except ArgumentError:
        raise InvalidSettings("store.url is no database URL.") from None
    if target.get_backend_name() == "sqlite":
        return _sqlite(target)
    if target.get_backend_name() == "postgresql":
        return _postgresql(target, password)
    raise InvalidSettings("store.url begins with sqlite:/// or postgresql+psycopg://, and with nothing else.")


@contextmanager
def writing(engine: Engine, error: type[RedoubtError] = EvidenceUnavailable) -> Iterator[Connection]:
    """One durable transaction; whatever the database refuses leaves as `error`."""
    with _translated(error), engine.execution_options(**{_WRITES: True}).begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine, error: type[RedoubtError] = DependencyUnavailable) -> Iterator[Connection]:
    """One moment of the database, for as many reads as it takes."""
    with _translated(error), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def _translated(error: type[RedoubtError]) -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeoutError) as broken:
        # No cause is kept: it would carry the statement and its values into histories and logs.
        raise error(f"The store of records can't be used now: {_condition(broken)}.") from None


def _condition(broken: DBAPIError | PoolTimeoutError) -> str:
    original = getattr(broken, "orig", None)
    code = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
    kind = type(original or broken).__name__
    return f"{kind} {code}" if code else kind


def _sqlite(target: URL) -> Engine:
    if not target.database or target.database == ":memory:":
        raise InvalidSettings("store.url names a file: records that vanish with the process are none.")
    engine = create_engine(target, hide_parameters=True, pool_size=20, max_overflow=30, pool_timeout=30)
    event.listen(engine, "do_connect", _make_private)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(_dialect: Dialect, _entry: object, arguments: Sequence[str], _named: object) -> None:
    """Make the file before SQLite does, with a mode that its WAL inherits.

    A file that is there is never opened: closing it would drop the locks that this process's connections hold on
    it (POSIX), and another process that leaves would take itself for the last one and delete the WAL in use.
    """
    with suppress(OSError):  # SQLite meets the same obstacle next, and says so
        os.close(os.open(arguments[0], os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # the driver begins no transaction by itself: we do, below
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _postgresql(target: URL, password: bytes | None) -> Engine:
    if password is not None:
        target = target.set(password=password.decode())
    if target.host not in LOOPBACK and "sslmode" not in target.query:
        # libpq's own default would fall back to a plain connection with the password in it.
        target = target.update_query_dict({"sslmode": "verify-full"})
    return create_engine(
        target.set(drivername="postgresql+psycopg"),
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=20,
        max_overflow=30,
        pool_timeout=30,
        connect_args={
            "connect_timeout": CONNECT_S,
            "keepalives_idle": 30,
            "tcp_user_timeout": STATEMENT_MS,
            "options": f"-c statement_timeout={STATEMENT_MS} -c lock_timeout={WAIT_FOR_LOCK_MS}"
            f" -c idle_in_transaction_session_timeout={2 * STATEMENT_MS}",
        },
    )

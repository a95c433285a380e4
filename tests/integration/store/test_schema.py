"""The schema: brought up once whoever comes first, held to its models, and roles that take the means away."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.exc import ProgrammingError

from schemas.errors import DependencyUnavailable, InvalidSettings
from schemas.evidence import Event
from store.spool import Spool
from store.sql import migrations
from store.sql.engine import connect, reading
from store.sql.journal import SqlJournal
from store.sql.log import SETTLE_LOCK, SqlLog
from store.sql.migrations import HEAD, check_version, migrate
from store.sql.models import metadata
from store.sql.policies import SqlPolicies
from store.sql.roles import AUDITOR, POOL, SEQUENCER, STATEMENTS, script

READ_BY_AUDITORS = (
    *("operations", "evidence", "log", "checkpoints", "policies", "requests"),
    *("approval_requests", "approval_votes", "approval_uses"),
    *("beginnings", "key_counts"),
)
MIGRATE = "import sys; from store.sql.engine import connect; from store.sql.migrations import migrate; "


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/records.sqlite"


def test_processes_that_migrate_at_once_are_safe(url: str) -> None:
    here = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    command = [sys.executable, "-c", MIGRATE + "migrate(connect(sys.argv[1]))", url]
    both = [subprocess.Popen(command, env=here) for _ in range(2)]
    assert [one.wait(timeout=60) for one in both] == [0, 0]
    engine = connect(url)
    check_version(engine)
    engine.dispose()


def test_a_database_of_another_version_says_what_to_run(url: str) -> None:
    engine = connect(url)
    with pytest.raises(DependencyUnavailable, match=r"at version none.*redoubt store migrate"):
        check_version(engine)
    migrate(engine)
    migrate(engine)
    check_version(engine)
    with engine.execution_options(redoubt_writes=True).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DependencyUnavailable, match="at version 9999"):
        check_version(engine)
    engine.dispose()


def test_the_migrations_lead_to_the_models(url: str) -> None:
    engine = connect(url)
    migrate(engine)
    with reading(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD
    first = import_module("store.sql.migrations.versions.0001_records")
    assert first._SETTLE_LOCK == SETTLE_LOCK


def test_sqlite_is_durable_and_private(tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite"
    engine = connect(f"sqlite:///{file}")
    migrate(engine)
    with reading(engine) as connection:
        told = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")
        }
        modes = {one.stat().st_mode & 0o777 for one in tmp_path.glob("records.sqlite*")}
    assert told == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "recursive_triggers": 1,
        "busy_timeout": 10_000,
    }
    assert modes == {0o600}
    engine.dispose()


@pytest.mark.parametrize("wrong", ["nonsense", "mysql://h/d", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_is_none_of_ours_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidSettings, match=r"store\.url"):
        connect(wrong)


def test_nobody_answers(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/no/such/folder", "postgresql+psycopg://u@127.0.0.1:1/d"):
        engine = connect(url, b"planted-canary")
        with pytest.raises(DependencyUnavailable) as refused:
            check_version(engine)
        assert "planted-canary" not in str(refused.value)
        assert str(tmp_path) not in str(refused.value)


def as_role(url: str, role: str) -> Any:
    """The owner's connections, with no more than this role may."""
    return create_engine(url, connect_args={"options": f"-c role={role}"})


@pytest.fixture
def guarded(postgres_url: str) -> str:
    engine = connect(postgres_url)
    migrate(engine)
    with engine.begin() as connection:
        for statement in STATEMENTS:
            connection.execute(text(statement.replace(":", "\\:")))
    engine.dispose()
    return postgres_url


def test_a_pool_records_and_nothing_else(guarded: str, records_spool: Any) -> None:
    engine = as_role(guarded, POOL)
    journal = SqlJournal(engine, records_spool, "certificates")
    operation = journal.open(
        kind="K", subject="www", workflow_id="w", run="r", who="a", correlation_id="", state={}
    ).operation
    journal.begin(operation, "a", Event.KEY_GENERATED, {})
    journal.finish(operation, "a", Event.KEY_GENERATED, {}, {"n": 1})
    assert not journal.in_log(operation, "a")
    journal.undo(operation, "why")
    journal.close(operation, "undone", {})
    policies = SqlPolicies(engine)
    assert policies.versions() == ()
    assert policies.use("a" * 32, "w/1")
    check_version(engine)
    for statement in (
        "UPDATE evidence SET subject = ''",
        "DELETE FROM evidence",
        "TRUNCATE evidence",
        "INSERT INTO evidence (id, operation, step, kind, subject, entry) VALUES (1, '', '', '', '', '')",
        "DELETE FROM operations",
        "UPDATE operations SET state = '{}'",
        "SELECT leaf FROM log",
        "INSERT INTO log VALUES (0, 1, '')",
        "SELECT * FROM checkpoints",
        "ALTER TABLE evidence DISABLE TRIGGER ALL",
        "DROP TABLE evidence",
        "INSERT INTO policies VALUES (1, '', '', '')",
        "DELETE FROM approval_votes",
        "UPDATE approval_uses SET operation = ''",
        "DELETE FROM requests",
    ):
        assert denied(engine, statement), statement
    engine.dispose()


def test_the_sequencer_appends_and_nothing_else(guarded: str, records_spool: Any) -> None:
    owner = connect(guarded)
    SqlJournal(owner, records_spool, "certificates").open(
        kind="K", subject="www", workflow_id="w", run="r", who="a", correlation_id="", state={}
    )
    owner.dispose()
    engine = as_role(guarded, SEQUENCER)
    assert SqlLog(engine, "redoubt.invalid/log", b"\x05" * 32).sequence() == 1
    for statement in (
        "INSERT INTO evidence (operation, step, kind, subject, entry) VALUES ('', '', '', '', '')",
        "UPDATE log SET leaf = ''",
        "DELETE FROM checkpoints",
        "SELECT * FROM operations",
    ):
        assert denied(engine, statement), statement
    engine.dispose()


def test_an_auditor_reads_and_nothing_else(guarded: str) -> None:
    engine = as_role(guarded, AUDITOR)
    check_version(engine)
    with engine.connect() as connection:
        for table in READ_BY_AUDITORS:
            connection.execute(text(f"TABLE {table}"))
    for table in READ_BY_AUDITORS:
        assert denied(engine, f"INSERT INTO {table} TABLE {table}"), table
    engine.dispose()


def test_the_script_is_what_was_tested() -> None:
    assert script().count(";\n") >= len(STATEMENTS)


def denied(engine: Any, statement: str) -> bool:
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    except ProgrammingError as refused:
        return getattr(refused.orig, "sqlstate", None) == "42501"
    return False


@pytest.fixture
def records_spool(tmp_path: Path) -> Any:
    return Spool(tmp_path / "spool", b"k" * 32)

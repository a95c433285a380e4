"""The schema's versions, and the two things that are done with them: bring a database up, and look where it is.

Migrations are packaged and run by alembic inside one transaction under a lock, so two processes that start at
once are safe: the second finds the work done.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from schemas.errors import DependencyUnavailable
from store.sql.engine import reading, writing

HEAD = "0004"
"""The version that this release works with; a test holds it to the newest script."""

_LOCK = 0x5265646F_75627400  # "Redoubt" and 0: the advisory lock of migrations


def migrate(engine: Engine) -> None:
    """Bring the database to `HEAD`; again: no effect. Raises `DependencyUnavailable`."""
    # Loaded here: a worker that only checks the version does without alembic.
    from alembic import command  # noqa: PLC0415  # see above
    from alembic.config import Config  # noqa: PLC0415  # see above

    with writing(engine, DependencyUnavailable) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        if version(connection) == HEAD:
            return
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)


def check_version(engine: Engine) -> None:
    """Raise `DependencyUnavailable`, saying what to run, unless the database is at `HEAD`."""
    with reading(engine) as connection:
        found = version(connection)
    if found != HEAD:
        raise DependencyUnavailable(
            f"The records' schema is at version {found or 'none'} and this release works with {HEAD}: "
            "run `redoubt store migrate` of this release."
        )


def version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

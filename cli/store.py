"""`redoubt store`: bring the records' schema to this release, and print the database roles for PostgreSQL."""

import typer

from cli.output import put, say
from clients.secrets.resolver import Secrets
from clients.settings import load
from store.sql.engine import connect
from store.sql.migrations import HEAD, migrate
from store.sql.roles import script

app = typer.Typer(no_args_is_help=True, help="The records: their schema and their roles.")


@app.command("migrate")
def migrate_store() -> None:
    """Bring the database to this release's schema; again: no effect. Two at once are safe."""
    settings = load().store
    password = None if settings.password is None else Secrets().resolve(settings.password)
    migrate(connect(settings.url, password))
    say(f"The records' schema is at version {HEAD}.")


@app.command("roles")
def print_roles() -> None:
    """Print SQL that makes the roles of pools, sequencer and auditor (PostgreSQL), to run as the owner."""
    put(script().rstrip("\n"))

"""Operations, evidence, its log and its checkpoints, with the triggers that make the last three append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_APPEND_ONLY = ("evidence", "log", "checkpoints")
_SETTLE_LOCK = 0x5265646F_75627401


def upgrade() -> None:
    identity = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "operations",
        sa.Column("operation", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("correlation_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("undoing", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("closed", sa.Text, nullable=True),
    )
    op.create_index(
        "operations_open",
        "operations",
        ["kind", "subject"],
        unique=True,
        sqlite_where=sa.text("closed IS NULL"),
        postgresql_where=sa.text("closed IS NULL"),
    )
    op.create_table(
        "evidence",
        sa.Column("id", identity, primary_key=True, autoincrement=True),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("result", sa.Text, nullable=True),
        sa.UniqueConstraint("operation", "step", "kind", name="evidence_once"),
        sqlite_autoincrement=True,
    )
    op.create_index("evidence_subject", "evidence", ["subject"])
    op.create_table(
        "log",
        sa.Column("index", identity, primary_key=True, autoincrement=False),
        sa.Column("evidence_id", identity, sa.ForeignKey("evidence.id"), nullable=False, unique=True),
        sa.Column("leaf", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "checkpoints",
        sa.Column("size", identity, primary_key=True, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("range", sa.LargeBinary, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        _postgresql_triggers()
    else:
        _sqlite_triggers()


def _sqlite_triggers() -> None:
    for table in _APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )


def _postgresql_triggers() -> None:
    op.execute(
        "CREATE FUNCTION redoubt_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in _APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION redoubt_append_only()"
        )
    # Whoever inserts evidence holds this lock, shared, from before its ID is drawn until it commits; the
    # sequencer takes it alone for a moment to learn which IDs can't appear any more (store.sql.log).
    op.execute(
        "CREATE FUNCTION redoubt_settles() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN PERFORM pg_advisory_xact_lock_shared({_SETTLE_LOCK}); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER evidence_settles BEFORE INSERT ON evidence "
        "FOR EACH STATEMENT EXECUTE FUNCTION redoubt_settles()"
    )

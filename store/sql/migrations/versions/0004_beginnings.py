"""Which operations have begun their effects, and how often each FIDO2 key has signed: both append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_APPEND_ONLY = ("beginnings", "key_counts")


def upgrade() -> None:
    op.create_table(
        "beginnings",
        sa.Column("operation", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("beginnings_at", "beginnings", ["at_ms"])
    op.create_table(
        "key_counts",
        sa.Column("key", sa.Text, primary_key=True),
        sa.Column("counter", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=True),
    )
    for table in _APPEND_ONLY:
        if op.get_bind().dialect.name == "postgresql":
            op.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION redoubt_append_only()"
            )
        else:
            for verb in ("UPDATE", "DELETE"):
                op.execute(
                    f"CREATE TRIGGER {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )

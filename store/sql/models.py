"""The tables of our records, as the newest migration leaves them.

- `operations`: one row an operation; a partial unique index lets only one be open on a kind and subject.
- `evidence`: INSERT only (triggers refuse the rest). A step's intent and outcome are rows here and nowhere else,
  so recording one is one INSERT; an outcome's row also holds the result, and its entry the result's hash.
- `log`: where each evidence row stands in the Merkle log, once.
- `policies`: the versions of the policy file, as they were signed; `requests`: the signed requests that were used.
- `approval_requests`, `approval_votes`, `approval_uses`: what is to be approved, who said what, what it was used for.
- `beginnings`: which operations have begun their effects, and when; `key_counts`: how often FIDO2 keys have signed.
- `checkpoints`: what was signed, with the compact range that the next append goes on from.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

Identity = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up by itself only in a column that is an INTEGER."""

operations = Table(
    "operations",
    metadata,
    Column("operation", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("workflow_id", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("correlation_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("undoing", Boolean, nullable=False, server_default=text("false")),
    Column("closed", Text, nullable=True),
    Index(
        "operations_open",
        "kind",
        "subject",
        unique=True,
        sqlite_where=text("closed IS NULL"),
        postgresql_where=text("closed IS NULL"),
    ),
)

evidence = Table(
    "evidence",
    metadata,
    Column("id", Identity, primary_key=True, autoincrement=True),
    Column("operation", Text, nullable=False),
    Column("step", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("result", Text, nullable=True),
    UniqueConstraint("operation", "step", "kind", name="evidence_once"),
    Index("evidence_subject", "subject"),
    sqlite_autoincrement=True,
)

log = Table(
    "log",
    metadata,
    Column("index", Identity, primary_key=True, autoincrement=False),
    Column("evidence_id", Identity, ForeignKey("evidence.id"), nullable=False, unique=True),
    Column("leaf", LargeBinary, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("size", Identity, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("range", LargeBinary, nullable=False),
    Column("note", Text, nullable=False),
)

policies = Table(
    "policies",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("sha256", Text, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("signatures", Text, nullable=False),
)

requests = Table(
    "requests",
    metadata,
    Column("nonce", Text, primary_key=True),
    Column("used_by", Text, nullable=False),
)

approval_requests = Table(
    "approval_requests",
    metadata,
    Column("operation", Text, primary_key=True),
    Column("turn", Integer, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False, unique=True),
    Column("request", Text, nullable=False),
)

approval_votes = Table(
    "approval_votes",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("vote", Text, nullable=False),
    Column("received", Text, nullable=False),
)

approval_uses = Table(
    "approval_uses",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("operation", Text, nullable=False),
    Column("step", Text, nullable=False),
)

beginnings = Table(
    "beginnings",
    metadata,
    Column("operation", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index("beginnings_at", "at_ms"),
)

key_counts = Table(
    "key_counts",
    metadata,
    Column("key", Text, primary_key=True),
    Column("counter", BigInteger, primary_key=True, autoincrement=False),
    Column("statement", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=True),
)

APPEND_ONLY = (
    *(evidence.name, log.name, checkpoints.name, policies.name, requests.name),
    *(approval_requests.name, approval_votes.name, approval_uses.name),
    *(beginnings.name, key_counts.name),
)

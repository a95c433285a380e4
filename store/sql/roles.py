"""PostgreSQL roles at scale: who may do what with the records.

The triggers refuse changes to evidence, log and checkpoints to everybody. These roles take the means away besides:

- a pool records: it reads and inserts evidence, opens, turns and closes operations, and sees which evidence is in the
  log (what can't be undone waits for that), but neither the log's hashes nor its key;
- the sequencer reads evidence and appends to the log;
- an auditor reads.

- a pool also reads the policy and takes signed requests, each once; it can't install a policy;
  it records what is to be approved, the votes and their use, what has begun, and how often a key has signed,
  and changes none.

None may create, alter or drop anything: `redoubt store migrate` and `redoubt policy apply` run as the owner.
"""

POOL = "redoubt_pool"
SEQUENCER = "redoubt_sequencer"
AUDITOR = "redoubt_auditor"

_COLUMNS = "operation, step, kind, subject, entry, result"
_APPROVALS = ("approval_requests", "approval_votes", "approval_uses")
_COUNTS = ("beginnings", "key_counts")

STATEMENTS = (
    *(
        f"DO $$ BEGIN CREATE ROLE {role} NOLOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        for role in (POOL, SEQUENCER, AUDITOR)
    ),
    *(
        f"REVOKE ALL ON {table} FROM PUBLIC, {POOL}, {SEQUENCER}, {AUDITOR}"
        for table in (
            "operations",
            "evidence",
            "log",
            "checkpoints",
            "policies",
            "requests",
            *_APPROVALS,
            *_COUNTS,
            "alembic_version",
        )
    ),
    # The ID of an evidence row is the database's to choose, so a pool may not name that column.
    f"GRANT SELECT, INSERT ({_COLUMNS}) ON evidence TO {POOL}",
    f"GRANT USAGE ON SEQUENCE evidence_id_seq TO {POOL}",
    f"GRANT SELECT, INSERT, UPDATE (undoing, closed) ON operations TO {POOL}",
    f"GRANT SELECT (evidence_id) ON log TO {POOL}",
    f"GRANT SELECT ON policies TO {POOL}",
    f"GRANT SELECT, INSERT ON requests TO {POOL}",
    f"GRANT SELECT, INSERT ON {', '.join((*_APPROVALS, *_COUNTS))} TO {POOL}",
    f"GRANT SELECT ON {', '.join((*_APPROVALS, *_COUNTS))} TO {AUDITOR}",
    f"GRANT SELECT ON evidence TO {SEQUENCER}",
    f"GRANT SELECT, INSERT ON log, checkpoints TO {SEQUENCER}",
    f"GRANT SELECT ON operations, evidence, log, checkpoints, policies, requests TO {AUDITOR}",
    f"GRANT SELECT ON alembic_version TO {POOL}, {SEQUENCER}, {AUDITOR}",
)


def script() -> str:
    """For psql, as the owner of the database; run it again after each migration."""
    return "".join(f"{statement};\n" for statement in STATEMENTS)

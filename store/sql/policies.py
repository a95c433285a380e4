"""Policy versions and used requests on SQL: see `store.policies.PolicyRecords` for the promises."""

from collections.abc import Sequence
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import Connection, Engine, select

from rules.counters import Counted
from schemas.errors import EvidenceUnavailable, NotAuthorized, PolicyRefused
from schemas.evidence import Entry
from schemas.policies import Signature
from store.policies import Installed
from store.sql import counters
from store.sql.engine import reading, writing
from store.sql.models import policies, requests
from store.sql.rows import insert_evidence, insert_once

_signatures: Final = TypeAdapter(tuple[Signature, ...])


class SqlPolicies:
    def __init__(self, engine: Engine) -> None:
        self._engine: Final = engine

    def versions(self) -> tuple[Installed, ...]:
        with reading(self._engine, EvidenceUnavailable) as connection:
            rows = connection.execute(select(policies).order_by(policies.c.version)).all()
        return tuple(
            Installed(
                version=row.version,
                sha256=row.sha256,
                document=row.document,
                signatures=_signatures.validate_json(row.signatures),
            )
            for row in rows
        )

    def install(self, installed: Installed, entry: Entry, counts: Sequence[Counted] = ()) -> bool:
        row = {
            "version": installed.version,
            "sha256": installed.sha256,
            "document": installed.document,
            "signatures": _signatures.dump_json(installed.signatures).decode(),
        }
        with writing(self._engine) as connection:
            if insert_once(connection, policies, row):
                for one in counts:
                    if why := counters.take(connection, one):
                        raise PolicyRefused(f"The key {one.key} may have been cloned: {why}.")
                return insert_evidence(connection, entry)
            there = select(policies.c.sha256).where(policies.c.version == installed.version)
            if connection.execute(there).scalar() != installed.sha256:
                raise PolicyRefused(
                    f"Another version {installed.version} of the policy is installed already."
                )
        return False

    def used_by(self, nonce: str) -> str | None:
        with reading(self._engine, EvidenceUnavailable) as connection:
            return _taker(connection, nonce)

    def use(self, nonce: str, by: str, counted: Counted | None = None) -> bool:
        with writing(self._engine) as connection:
            if counted is not None and (why := counters.take(connection, counted)):
                raise NotAuthorized(f"This was refused: its key may have been cloned, for {why}.")
            insert_once(connection, requests, {"nonce": nonce, "used_by": by})
            return _taker(connection, nonce) == by


def _taker(connection: Connection, nonce: str) -> str | None:
    taker: str | None = connection.execute(
        select(requests.c.used_by).where(requests.c.nonce == nonce)
    ).scalar()
    return taker

"""The port `PolicyRecords`, as every implementation must keep it: on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from rules.counters import Counted
from rules.policies import digest
from schemas.errors import NotAuthorized, PolicyRefused
from schemas.evidence import Entry, Event, Kind
from schemas.policies import Signature
from store.policies import Installed, PolicyRecords
from store.sql.engine import reading
from store.sql.policies import SqlPolicies


@pytest.fixture
def records(engine: Engine) -> PolicyRecords:
    return SqlPolicies(engine)


def installed(version: int, document: bytes) -> Installed:
    signatures = (Signature(key_id="root-1", signature="AAAA"),)
    return Installed(version=version, sha256=digest(document), document=document, signatures=signatures)


def entry(version: int) -> Entry:
    return Entry(
        operation=f"policy/{version}",
        step="applied",
        kind=Kind.NOTE,
        what=Event.POLICY_APPLIED,
        subject="policy",
        who="root",
        at=datetime.now(UTC),
    )


def test_versions_come_back_as_they_were_installed_oldest_first(
    records: PolicyRecords, engine: Engine
) -> None:
    assert records.versions() == ()
    first, second = installed(1, b"one\xff\x00"), installed(2, b"two")
    assert records.install(first, entry(1))
    assert records.install(second, entry(2))
    assert records.versions() == (first, second)
    with reading(engine) as connection:
        noted = connection.execute(text("SELECT count(*) FROM evidence WHERE subject = 'policy'")).scalar()
    assert noted == 2


def test_a_version_is_installed_once_and_never_replaced(records: PolicyRecords) -> None:
    first = installed(1, b"one")
    assert records.install(first, entry(1))
    assert not records.install(first, entry(1))
    with pytest.raises(PolicyRefused):
        records.install(installed(1, b"another"), entry(1))
    assert records.versions() == (first,)


def test_a_request_is_taken_by_one_only(records: PolicyRecords) -> None:
    assert records.use("a" * 32, "w/1")
    assert records.use("a" * 32, "w/1")
    assert not records.use("a" * 32, "w/2")
    assert records.use("b" * 32, "w/2")


def test_a_request_by_a_key_that_seems_to_be_cloned_is_not_taken(records: PolicyRecords) -> None:
    at = datetime.now(UTC)
    assert records.use("a" * 32, "w/1", Counted("one-key", 7, "a" * 64, at))
    assert records.use("a" * 32, "w/1", Counted("one-key", 7, "a" * 64, at))
    with pytest.raises(NotAuthorized, match="may have been cloned"):
        records.use("b" * 32, "w/2", Counted("one-key", 7, "b" * 64, at))
    assert records.use("b" * 32, "w/3", Counted("one-key", 8, "b" * 64, at))


def test_a_version_signed_by_a_key_that_seems_to_be_cloned_is_not_installed(records: PolicyRecords) -> None:
    records.use("a" * 32, "w/1", Counted("one-key", 7, "a" * 64, datetime.now(UTC)))
    with pytest.raises(PolicyRefused, match="may have been cloned"):
        records.install(installed(1, b"one"), entry(1), [Counted("one-key", 7, "b" * 64, None)])
    assert records.versions() == ()
    # Signed before the request and brought after it: no clone's.
    assert records.install(installed(1, b"one"), entry(1), [Counted("one-key", 6, "b" * 64, None)])


def test_of_many_at_once_one_takes_it(records: PolicyRecords) -> None:
    with ThreadPoolExecutor(8) as pool:
        took = list(pool.map(lambda number: records.use("c" * 32, f"w/{number}"), range(8)))
    assert took.count(True) == 1


@pytest.mark.parametrize("table", ["policies", "requests"])
def test_nothing_is_changed_or_deleted(records: PolicyRecords, engine: Engine, table: str) -> None:
    records.install(installed(1, b"one"), entry(1))
    records.use("a" * 32, "w/1")
    column = {"policies": "sha256", "requests": "used_by"}[table]
    for statement in (f"UPDATE {table} SET {column} = ''", f"DELETE FROM {table}"):  # noqa: S608 - two names above
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))

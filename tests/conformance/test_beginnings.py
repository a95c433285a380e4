"""The port `Beginnings`, as every implementation must keep it: on SQLite and on PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from rules.limits import Begun
from schemas.limits import Limit, RateLimit, SimultaneousLimit
from store.beginnings import Beginnings
from store.spool import Spool
from store.sql.beginnings import SqlBeginnings
from store.sql.journal import SqlJournal

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
THREE: tuple[Limit, ...] = (RateLimit(kind="rate", capability="certificates", most=3, within_s=3600),)
ONE_AT_A_TIME: tuple[Limit, ...] = (
    SimultaneousLimit(kind="simultaneous", capability="certificates", most=1),
)


@pytest.fixture
def records(engine: Engine) -> Beginnings:
    return SqlBeginnings(engine)


@pytest.fixture
def journal(engine: Engine, tmp_path: Path) -> SqlJournal:
    return SqlJournal(engine, Spool(tmp_path / "spool", b"k" * 32), "certificates")


def opened(journal: SqlJournal, subject: str) -> str:
    return journal.open(
        kind="CertificateRenewal",
        subject=subject,
        workflow_id=f"certificate-renewal/{subject}",
        run="r/1",
        who="service:certificates",
        correlation_id="",
        state={},
    ).operation


def asks(subject: str, at: datetime = NOW) -> Begun:
    return Begun("CertificateRenewal", subject, at, under_way=True)


def test_what_has_begun_is_counted_and_begins_once(records: Beginnings, journal: SqlJournal) -> None:
    first, second = opened(journal, "a"), opened(journal, "b")
    assert not records.has(first)
    assert records.begin(first, asks("a"), ONE_AT_A_TIME) == ""
    assert records.has(first)
    assert records.begin(first, asks("a"), ONE_AT_A_TIME) == ""
    assert "1 operations of * are under way" in records.begin(second, asks("b"), ONE_AT_A_TIME)
    assert not records.has(second)
    journal.close(first, "renewed", {})
    assert records.begin(second, asks("b"), ONE_AT_A_TIME) == ""


def test_a_rate_counts_what_is_over_too_until_it_is_long_ago(
    records: Beginnings, journal: SqlJournal
) -> None:
    for number in range(3):
        operation = opened(journal, f"s{number}")
        assert records.begin(operation, asks(f"s{number}"), THREE) == ""
        journal.close(operation, "renewed", {})
    late = opened(journal, "late")
    assert "there is room from" in records.begin(late, asks("late", NOW + timedelta(minutes=59)), THREE)
    assert records.begin(late, asks("late", NOW + timedelta(minutes=60)), THREE) == ""


def test_what_may_have_to_be_counted_comes_back_as_it_was(records: Beginnings, journal: SqlJournal) -> None:
    over, under_way = opened(journal, "over"), opened(journal, "long")
    records.begin(over, asks("over"), ())
    records.begin(under_way, asks("long"), ())
    journal.close(over, "renewed", {})
    ended = asks("over")._replace(under_way=False)
    assert set(records.seen(THREE, NOW)) == {ended, asks("long")}
    assert records.seen(THREE, NOW + timedelta(hours=2)) == (asks("long"),)
    assert records.seen((), NOW) == ()


def test_of_many_at_once_as_many_begin_as_may(records: Beginnings, journal: SqlJournal) -> None:
    names = [f"s{number}" for number in range(8)]
    operations = {name: opened(journal, name) for name in names}
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda name: records.begin(operations[name], asks(name), THREE), names))
    assert told.count("") == 3


def test_nothing_is_changed_or_deleted(records: Beginnings, journal: SqlJournal, engine: Engine) -> None:
    records.begin(opened(journal, "a"), asks("a"), ())
    for statement in ("UPDATE beginnings SET at_ms = 0", "DELETE FROM beginnings"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))

"""Dates of certificates: nothing is lost, nothing that is past stands in the future, and order is kept."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rules.calendar import Date, What, by_period, dates, past
from rules.certificates import due
from schemas.certificates import CertificateFacts
from schemas.settings.certificates import RenewalPolicy

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)  # a Saturday


def facts(ends_in: timedelta, lived: timedelta = timedelta(days=10)) -> CertificateFacts:
    return CertificateFacts(
        fingerprint="a" * 64,
        serial="1",
        names=("www.example.com",),
        issuer="CN=CA",
        not_before=NOW - lived,
        not_after=NOW + ends_in,
        public_key_sha256="b" * 64,
        key_algorithm="EC-P256",
    )


HELD = st.lists(
    st.none()
    | st.builds(
        facts,
        st.timedeltas(timedelta(days=-5), timedelta(days=400)),
        st.timedeltas(timedelta(days=6), timedelta(days=400)),
    ),
    min_size=1,
)


@given(HELD)
def test_what_the_calendar_calls_past_the_sweep_calls_due(held: list[CertificateFacts | None]) -> None:
    found = dates("www", held, RenewalPolicy(), NOW)
    assert any(past(one) for one in found) == due("www", held, RenewalPolicy(), NOW).due


@given(st.lists(HELD, max_size=5), st.booleans())
def test_periods_hold_every_date_once_and_in_order(
    helds: list[list[CertificateFacts | None]], weeks: bool
) -> None:
    found = [one for name, held in enumerate(helds) for one in dates(str(name), held, RenewalPolicy(), NOW)]
    periods = by_period(found, weeks=weeks)
    assert sorted(map(repr, found)) == sorted(repr(one) for _, inside in periods for one in inside)
    days = [period for period, _ in periods if period is not None]
    assert days == sorted(set(days))
    for period, inside in periods:
        for one in inside:
            assert (period is None) == past(one)
            if period is not None and one.at is not None:
                assert timedelta(0) <= one.at.date() - period <= timedelta(days=6 if weeks else 0)
                assert not weeks or period.weekday() == 0


def test_the_first_target_decides_and_a_missing_one_is_named() -> None:
    held = [
        facts(timedelta(days=60), timedelta(days=300)),
        facts(timedelta(days=50), timedelta(days=300)),
        None,
    ]
    assert dates("www", held, RenewalPolicy(), NOW) == (
        Date("www", What.MISSING, None),
        Date("www", What.DUE, NOW + timedelta(days=20)),
        Date("www", What.ENDS, NOW + timedelta(days=50)),
    )
    assert dates("www", [], RenewalPolicy(), NOW) == ()
    assert [one.what for one in dates("www", [facts(timedelta(0))], RenewalPolicy(), NOW)] == [What.ENDED]
    ((period, _),) = by_period([Date("www", What.ENDS, NOW)], weeks=True)
    assert period == date(2026, 11, 16)

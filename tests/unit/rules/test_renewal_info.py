"""A moment is picked once, lies in the CA's window, and never brings a certificate to its end."""

import hashlib
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from rules.certificates import due_at
from rules.renewal_info import advised, moment_in
from schemas.certificates import CertificateFacts
from schemas.renewal_info import RenewalWindow
from schemas.settings.certificates import RenewalPolicy

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RenewalPolicy()

_TIMES = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants them naive
_SECONDS = st.integers(1, 10**8)
_PRINTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@st.composite
def windows(draw: st.DrawFn) -> RenewalWindow:
    start = draw(_TIMES)
    return RenewalWindow(start=start, end=start + timedelta(seconds=draw(_SECONDS)))


def held(fingerprint: str = "0" * 64, days: float = 90) -> CertificateFacts:
    return CertificateFacts(
        fingerprint=fingerprint,
        serial="1",
        names=("www.example.com",),
        issuer="CN=CA",
        not_before=BEGIN,
        not_after=BEGIN + timedelta(days=days),
        public_key_sha256="0" * 64,
        key_algorithm="EC-P256",
    )


@given(windows(), _PRINTS)
def test_the_moment_lies_in_the_window_and_is_always_the_same(
    window: RenewalWindow, fingerprint: str
) -> None:
    moment = moment_in(window, fingerprint)
    assert window.start <= moment <= window.end
    assert moment_in(window, fingerprint) == moment


def test_many_certificates_spread_over_the_window() -> None:
    window = RenewalWindow(start=BEGIN, end=BEGIN + timedelta(days=10))
    prints = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(1000)]
    days = [(moment_in(window, one) - BEGIN).days for one in prints]
    assert all(60 < days.count(day) < 140 for day in range(10))


@given(windows(), _PRINTS, _TIMES)
def test_due_from_one_moment_on_and_never_later_than_half_of_our_own_margin(
    window: RenewalWindow, fingerprint: str, now: datetime
) -> None:
    facts = held(fingerprint)
    advice = advised(facts, POLICY, window, now)
    assert advice.due == (now >= advice.moment)
    own = due_at(facts.not_before, facts.not_after, POLICY)
    assert advice.moment <= own + (facts.not_after - own) / 2 < facts.not_after
    wanted = moment_in(window, fingerprint)
    lifetime = facts.not_after - facts.not_before
    wide = window.end - window.start >= lifetime * 0.5
    if wide and window.start < facts.not_before + lifetime * 0.1 and window.end > now:
        wanted = min(own, window.end)
    assert advice.moment == min(wanted, own + (facts.not_after - own) / 2)


@given(_PRINTS, st.floats(0, 1))
def test_a_window_wider_than_the_lifetime_does_not_renew_it_for_ever(fingerprint: str, share: float) -> None:
    facts = held(fingerprint, days=1 / 24)
    own = due_at(facts.not_before, facts.not_after, POLICY)
    window = RenewalWindow(start=max(facts.not_before, own - timedelta(days=1)), end=own + timedelta(days=1))
    now = facts.not_before + (facts.not_after - facts.not_before) * share
    assert advised(facts, POLICY, window, now).due == (now >= own)


@given(_PRINTS, _TIMES, st.floats(0.01, 4000))
def test_without_a_window_our_own_policy_counts_and_says_why(
    fingerprint: str, now: datetime, days: float
) -> None:
    facts = held(fingerprint, days)
    advice = advised(facts, POLICY, None, now, "the CA did not answer")
    assert advice.moment == due_at(facts.not_before, facts.not_after, POLICY)
    assert advice.due == (now >= advice.moment)
    assert advice.why.startswith("the CA did not answer, so by our own policy")


def test_a_window_in_the_past_means_now_whatever_our_own_policy_says() -> None:
    past = RenewalWindow(
        start=BEGIN - timedelta(days=2),
        end=BEGIN - timedelta(days=1),
        explanation_url="https://ca.example.net/revoked",
    )
    advice = advised(held(), POLICY, past, BEGIN)
    assert advice.due
    assert "as the CA suggests (https://ca.example.net/revoked)" in advice.why


def test_a_window_too_near_to_the_end_is_told() -> None:
    late = RenewalWindow(start=BEGIN + timedelta(days=89), end=BEGIN + timedelta(days=90))
    assert "too near to its end" in advised(held(), POLICY, late, BEGIN).why


def test_a_narrow_window_that_is_open_now_counts_for_a_young_certificate_too() -> None:
    """As a CA says that it is about to revoke: what was issued yesterday does not wait for the window's end."""
    facts = held("00" * 32, days=90)
    now = facts.not_before + timedelta(days=1)
    window = RenewalWindow(start=now - timedelta(hours=1), end=now + timedelta(days=1))
    assert advised(facts, POLICY, window, now).due

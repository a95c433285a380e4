"""When a certificate is due, and what is refused of what a CA hands back."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import certificates as rules
from schemas.certificates import CertificateFacts
from schemas.settings.certificates import RenewalPolicy

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
lifetimes = st.timedeltas(min_value=timedelta(minutes=1), max_value=timedelta(days=900))
policies = st.builds(
    RenewalPolicy,
    before_days=st.integers(1, 365),
    fraction=st.floats(0.01, 0.99, allow_nan=False),
)


def facts(**changes: object) -> CertificateFacts:
    base: dict[str, object] = {
        "fingerprint": "a" * 64,
        "serial": "1",
        "names": ("www.example.com",),
        "issuer": "CN=test",
        "not_before": NOW - timedelta(hours=1),
        "not_after": NOW + timedelta(days=90),
        "public_key_sha256": "b" * 64,
        "key_algorithm": "EC-P256",
        "chain_verified": True,
    }
    return CertificateFacts.model_validate({**base, **changes})


@given(lifetimes, policies)
def test_none_is_due_when_it_is_issued_and_each_is_due_before_it_ends(
    lifetime: timedelta, policy: RenewalPolicy
) -> None:
    moment = rules.due_at(NOW, NOW + lifetime, policy)
    assert NOW < moment < NOW + lifetime


@given(lifetimes, policies)
def test_a_certificate_once_due_stays_due(lifetime: timedelta, policy: RenewalPolicy) -> None:
    held = [facts(not_before=NOW, not_after=NOW + lifetime)]
    moment = rules.due_at(NOW, NOW + lifetime, policy)
    assert not rules.due("www", held, policy, moment - timedelta(milliseconds=1)).due
    assert rules.due("www", held, policy, moment).due
    assert rules.due("www", held, policy, moment + timedelta(days=1000)).due


def test_a_long_certificate_is_due_thirty_days_before_its_end_and_a_short_one_at_a_third() -> None:
    policy = RenewalPolicy()
    assert rules.due_at(NOW, NOW + timedelta(days=200), policy) == NOW + timedelta(days=170)
    assert rules.due_at(NOW, NOW + timedelta(days=6), policy) == NOW + timedelta(days=4)


@given(lifetimes, st.integers(1, 100), st.timedeltas(timedelta(0), timedelta(days=400)))
def test_after_failures_the_sweep_waits_longer_each_time_but_never_the_rest_of_the_lifetime(
    lifetime: timedelta, failures: int, since: timedelta
) -> None:
    held = [facts(not_before=NOW, not_after=NOW + lifetime)]
    when = NOW + since
    once = rules.held_off_until([when] * failures, held, RenewalPolicy())
    more = rules.held_off_until([when] * (failures + 1), held, RenewalPolicy())
    assert once is not None
    assert more is not None
    assert when < once <= more <= when + rules.LONGEST_HOLD
    assert more <= when + lifetime / 4
    if when < NOW + lifetime:
        assert more < NOW + lifetime


def test_without_a_failure_it_waits_for_nothing_and_after_one_for_a_quarter_of_an_hour() -> None:
    held, policy = [facts(), None], RenewalPolicy()
    assert rules.held_off_until([], held, policy) is None
    for failures, minutes in ((1, 15), (2, 30), (4, 120), (9, 24 * 60)):
        assert rules.held_off_until([NOW] * failures, held, policy) == NOW + timedelta(minutes=minutes)


def test_a_target_without_a_certificate_makes_it_due() -> None:
    decision = rules.due("www", [facts(), None], RenewalPolicy(), NOW)
    assert decision.due
    assert "no certificate yet" in decision.why


def test_what_was_changed_counts_before_what_cas_say_and_that_before_the_dates() -> None:
    dated = rules.due("www", [facts()], RenewalPolicy(), NOW)
    by_cas = dated.model_copy(update={"due": True, "why": "it was revoked"})
    assert rules.decided(dated, None, None, NOW) == dated
    assert rules.decided(dated, None, by_cas, NOW) == by_cas
    changed = rules.decided(dated, "web-1 was changed", by_cas, NOW)
    assert (changed.due, changed.due_at, changed.why) == (True, NOW, "web-1 was changed")
    assert changed.not_after == dated.not_after


def test_the_certificate_that_ends_first_decides() -> None:
    early = facts(not_after=NOW - timedelta(seconds=1))
    decision = rules.due("www", [facts(), early, facts()], RenewalPolicy(), NOW)
    assert decision.due
    assert decision.not_after == early.not_after
    assert decision.why.startswith("ended")


def check(issued: CertificateFacts) -> tuple[str, ...]:
    return rules.problems(issued, ["www.example.com"], "b" * 64, ["c" * 64], NOW)


def test_one_that_lived_longer_and_ends_later_may_be_due_first() -> None:
    short = facts(not_before=NOW - timedelta(days=1), not_after=NOW + timedelta(days=5))
    long = facts(not_before=NOW - timedelta(days=61), not_after=NOW + timedelta(days=29))
    decision = rules.due("www", [short, long], RenewalPolicy(), NOW)
    assert (decision.due, decision.not_after) == (True, short.not_after)
    assert not rules.due("www", [short], RenewalPolicy(), NOW).due


def test_a_good_certificate_has_no_problem() -> None:
    assert check(facts()) == ()
    assert check(facts(names=("WWW.example.com",))) == ()


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"names": ("other.example.com",)}, "it is for other.example.com"),
        ({"names": ("www.example.com", "more.example.com")}, "more.example.com"),
        ({"public_key_sha256": "d" * 64}, "another key"),
        ({"chain_verified": False}, "chain"),
        ({"server_auth": False}, "TLS servers"),
        ({"not_before": NOW + timedelta(hours=1)}, "not valid before"),
        ({"not_after": NOW}, "ended"),
        ({"fingerprint": "c" * 64}, "old certificate"),
    ],
)
def test_each_deviation_is_named(changes: dict[str, object], word: str) -> None:
    (problem,) = check(facts(**changes))
    assert word in problem


def test_all_deviations_are_named_at_once() -> None:
    assert len(check(facts(names=(), public_key_sha256="d" * 64, chain_verified=False))) == 3

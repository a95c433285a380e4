"""Limits: whatever comes in whichever order, there is never more than they say."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.limits import Begun, refusal
from schemas.limits import Limit, RateLimit, SimultaneousLimit

START = datetime(2026, 11, 26, tzinfo=UTC)
KINDS = ("CertificateRenewal", "CertificateRevocation")
SUBJECTS = ("www", "pay-1", "pay-2")


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def rate(most: int = 2, within_s: float = 60, **more: Any) -> RateLimit:
    return RateLimit(kind="rate", capability="certificates", most=most, within_s=within_s, **more)


def at_a_time(most: int = 2, **more: Any) -> SimultaneousLimit:
    return SimultaneousLimit(kind="simultaneous", capability="certificates", most=most, **more)


def one(subject: str = "www", seconds: float = 0, kind: str = KINDS[0], *, under_way: bool = True) -> Begun:
    return Begun(kind, subject, after(seconds), under_way)


reach = {
    "scope": st.sampled_from(["*", "pay-*", "www"]),
    "per": st.sampled_from(["scope", "subject"]),
    "workflow_types": st.sampled_from([("*",), KINDS[:1], KINDS]),
}
limits = st.one_of(
    st.builds(rate, st.integers(1, 3), st.floats(1, 300), **reach),
    st.builds(at_a_time, st.integers(1, 3), **reach),
)
operations = st.builds(
    one,
    st.sampled_from(SUBJECTS),
    st.floats(0, 600),
    st.sampled_from(KINDS),
    under_way=st.booleans(),
)


def fits(limit: Limit, other: Begun, subject: str) -> bool:
    """Said once more, by hand."""
    types = {"*", other.workflow_type} & set(limit.workflow_types)
    scope = {"*": SUBJECTS, "pay-*": SUBJECTS[1:], "www": SUBJECTS[:1]}[limit.scope]
    return bool(types) and other.subject in scope and (limit.per == "scope" or other.subject == subject)


@given(limits, st.lists(operations, max_size=20))
def test_no_window_ever_holds_more_than_a_limit_says(limit: Limit, asking: list[Begun]) -> None:
    begun: list[Begun] = []
    for asks in sorted(asking, key=lambda other: other.at):
        if not refusal([limit], asks, begun):
            begun.append(asks)
        subject, now = asks.subject, asks.at
        same = [other for other in begun if fits(limit, other, subject)]
        if isinstance(limit, RateLimit):
            counted = [other for other in same if other.at > now - timedelta(seconds=limit.within_s)]
        else:
            counted = [other for other in same if other.under_way]
        assert len(counted) <= limit.most


@given(limits, operations, st.lists(operations, max_size=8), operations)
def test_more_that_has_begun_never_makes_room(
    limit: Limit, asks: Begun, begun: list[Begun], more: Begun
) -> None:
    if refusal([limit], asks, begun):
        assert refusal([limit], asks, [*begun, more])


@given(st.lists(limits, max_size=3), operations, st.lists(operations, max_size=8), st.randoms())
def test_every_limit_must_leave_room_and_no_order_matters(
    several: list[Limit], asks: Begun, begun: list[Begun], random: Any
) -> None:
    each = [bool(refusal([limit], asks, begun)) for limit in several]
    assert bool(refusal(several, asks, begun)) is any(each)
    shuffled = begun[:]
    random.shuffle(shuffled)
    assert bool(refusal(several[::-1], asks, shuffled)) is any(each)


@pytest.mark.parametrize(
    ("limit", "seconds", "room"),
    [
        (rate(), 59.9, False),
        (rate(), 60, True),
        (rate(most=3), 1, True),
        (rate(scope="pay-*"), 1, True),
        (rate(per="subject"), 1, False),
        (rate(workflow_types=("CertificateRevocation",)), 1, True),
        (at_a_time(), 500, False),
        (at_a_time(most=3), 500, True),
    ],
)
def test_two_have_begun_at_once(limit: Limit, seconds: float, *, room: bool) -> None:
    told = refusal([limit], one(seconds=seconds), [one(), one()])
    assert (told == "") is room


def test_it_says_from_when_there_is_room() -> None:
    told = refusal([rate()], one(seconds=50), [one(seconds=10), one(seconds=20), one(seconds=30)])
    assert "3 operations of * have begun within 60 s, and 2 may" in told
    # Those of 10 and 20 s must have gone, so that one is left.
    assert "there is room from 2026-11-26 00:01:20 UTC" in told
    assert refusal([rate()], one(seconds=80), [one(seconds=10), one(seconds=20), one(seconds=30)]) == ""


def test_what_has_ended_is_not_under_way() -> None:
    assert refusal([at_a_time(1)], one(), [one(under_way=False)]) == ""

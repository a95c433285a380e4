"""Approval by M of N: what is signed, who counts, and what is decided.

- The decision is a function of the request, the votes in the store's order, and nothing else: in which order a reader
  hands them over is the same to it, and so is in which order approvals have come.
- A vote counts if its approver's group was asked when it came, and the request had not expired. A vote that comes
  twice counts once; so does a person with two keys, and an approver together with their deputy.
- What strangers say counts nothing, however many they are. The requester never counts, neither as an approver nor as
  a deputy, and nobody stands in for the requester. Where a service has asked on somebody's behalf, neither do they.
- An unknown requester (the Web UI) needs one approver more than the rule says.
- One rejection by somebody who counts ends it. What is decided stays decided: later votes change nothing, and a
  changed plan has another digest, about which nobody has voted.
- Whether a signature is good is not decided here: who asks hands over votes that were verified.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

from rules.canonical import encode
from rules.requests import SKEW
from schemas.approvals import ApprovalRequest, Cast, State, Tally, Verdict, Vote
from schemas.policies import ApprovalRule, Policy
from schemas.principals import UNKNOWN_NAME

_REQUEST: Final = b"redoubt approval request v1\n"
_VOTE: Final = b"redoubt approval vote v1\n"

Places = Mapping[str, frozenset[str]]
"""Approver to the people who may vote in their place: themselves and their deputy."""


def digest(request: ApprovalRequest) -> str:
    """SHA-256 of the canonical JSON behind a prefix of its own, in hexadecimal."""
    return hashlib.sha256(_REQUEST + encode(request.model_dump(mode="json"))).hexdigest()


def statement(vote: Vote) -> bytes:
    """What an approver signs: the vote without its signature, so that each word of it is bound."""
    return _VOTE + encode(vote.model_dump(mode="json", exclude={"signature"}))


def rule_for(policy: Policy, capability: str, workflow_type: str, subject: str) -> ApprovalRule | None:
    """The first rule that fits; None: no approval is asked for."""
    fitting = (
        rule
        for rule in policy.approvals
        if rule.capability in {"*", capability}
        and {"*", workflow_type} & set(rule.workflow_types)
        and any(fnmatchcase(subject, scope) for scope in rule.scopes)
    )
    return next(fitting, None)


def askers(request: ApprovalRequest) -> frozenset[str]:
    """Those who have asked for it: the requester, and for whom a service has asked."""
    return frozenset(one.name for one in (request.requester, request.on_behalf_of) if one is not None)


def needed(request: ApprovalRequest) -> int:
    return request.rule.needed + (UNKNOWN_NAME in askers(request))


def places(request: ApprovalRequest, at: datetime) -> Places:
    """Those that are asked at this time."""
    asked = askers(request)
    approvers = {
        name
        for number, group in enumerate(request.rule.groups)
        if at >= _asked_from(request, number)
        for name in group.approvers
    }
    return {
        name: frozenset({name, request.rule.deputies.get(name, name)}) - asked for name in approvers - asked
    }


def tally(request: ApprovalRequest, casts: Iterable[Cast], now: datetime) -> Tally:
    """How it stands. Only votes about this request's digest are looked at."""
    named, wanted = digest(request), needed(request)
    came: dict[str, datetime] = {}
    """Approver to when their first approval came."""
    state, rejected_by = State.WAITING, None
    for cast in sorted(casts, key=lambda one: one.number):
        if cast.vote.request != named or not _counts(request, cast):
            continue
        if cast.vote.verdict is Verdict.REJECT:
            state, rejected_by = State.REFUSED, cast.vote.approver
            break
        came.setdefault(cast.vote.approver, cast.received)
        if _filled(request, came) >= wanted:
            state = State.GRANTED
            break
    if state is State.WAITING and now >= request.expires:
        state = State.EXPIRED
    return _told(request, state, came, rejected_by, now)


def refusal(request: ApprovalRequest, so_far: Tally, vote: Vote, now: datetime) -> str:
    """Why this vote is not taken; "" if it is. Its signature is judged elsewhere."""
    if vote.request != digest(request):
        return "it is about another plan than the one that waits here"
    if why := _mistimed(request, vote, now):
        return why
    if vote.approver in askers(request):
        return f"{vote.approver} has asked for it, and nobody approves what they have asked for"
    if not any(vote.approver in people for people in places(request, now).values()):
        return f"{vote.approver} is not among the approvers that are asked now"
    if so_far.state is not State.WAITING:
        return f"it is {so_far.state} already"
    return ""


def _mistimed(request: ApprovalRequest, vote: Vote, now: datetime) -> str:
    """A vote's own time is what tells a cloned key (`rules.counters`), so it can't be any time."""
    if now >= request.expires:
        return f"the request expired at {request.expires:%Y-%m-%d %H:%M:%S} UTC"
    if not request.asked_at - SKEW <= vote.at <= now + SKEW:
        return (
            f"it says that it was signed at {vote.at:%Y-%m-%d %H:%M:%S} UTC, not between the asking and now"
        )
    return ""


def _asked_from(request: ApprovalRequest, group: int) -> datetime:
    return request.asked_at + group * timedelta(seconds=request.rule.escalate_after_s)


def _counts(request: ApprovalRequest, cast: Cast) -> bool:
    asked = places(request, cast.received)
    return cast.received < request.expires and any(cast.vote.approver in people for people in asked.values())


def _filled(request: ApprovalRequest, came: Mapping[str, datetime]) -> int:
    """The most places that these people fill, each one of them (a maximum matching, by augmenting paths)."""
    taken: dict[str, str] = {}
    """Place to person."""

    def seat(person: str, tried: set[str]) -> bool:
        for place, people in sorted(places(request, came[person]).items()):
            if person not in people or place in tried:
                continue
            tried.add(place)
            if place not in taken or seat(taken[place], tried):
                taken[place] = person
                return True
        return False

    return sum(seat(person, set()) for person in sorted(came))


def _told(
    request: ApprovalRequest,
    state: State,
    came: Mapping[str, datetime],
    rejected_by: str | None,
    now: datetime,
) -> Tally:
    waiting = state is State.WAITING
    starts = [_asked_from(request, number) for number in range(len(request.rule.groups))]
    people = frozenset[str]().union(*places(request, now).values())
    later = [at for at in starts if now < at < request.expires]
    return Tally(
        state=state,
        needed=needed(request),
        approved_by=tuple(sorted(came)),
        rejected_by=rejected_by,
        asked=tuple(group.name for group, at in zip(request.rule.groups, starts, strict=True) if at <= now),
        may_act=tuple(sorted(people - came.keys())) if waiting else (),
        escalates=later[0] if waiting and later else None,
    )

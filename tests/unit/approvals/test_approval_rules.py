"""The invariants of `rules.approvals`, by properties and by cases."""

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.approvals import digest, refusal, rule_for, statement, tally
from schemas.approvals import ApprovalRequest, Cast, State, Verdict, Vote
from schemas.policies import ApprovalRule, Policy, PrincipalEntry
from schemas.principals import UNKNOWN, Principal, Shown
from tests.unit.approvals.making import AT, OLGA, casts, request, rule, unknown, vote

NAMED = ("anna", "ben", "cleo", "dan")
ANYONE = (*NAMED, "olga", "sam", "tom", "zoe")
REJECT = Verdict.REJECT

LATE = AT + timedelta(hours=3)

rules = st.builds(
    lambda needed, deputies, second: rule(
        NAMED[:2] if second else NAMED,
        *((NAMED[2:],) if second else ()),
        needed=needed,
        deputies=dict(deputies),
    ),
    st.integers(1, 4),
    st.dictionaries(st.sampled_from(NAMED), st.sampled_from(ANYONE), max_size=3),
    st.booleans(),
)
SERVICE = Principal(name="service:certificates", shown=Shown.SERVICE)
requests = st.builds(
    lambda asks, asked: request(asks, requester=asked[0], on_behalf_of=asked[1]),
    rules,
    st.sampled_from([(OLGA, None), (UNKNOWN, None), (SERVICE, None), (SERVICE, OLGA), (SERVICE, UNKNOWN)]),
)
said = st.lists(
    st.tuples(
        st.sampled_from(ANYONE), st.sampled_from((*[Verdict.APPROVE] * 4, REJECT)), st.sampled_from("12")
    ),
    max_size=9,
)


def came(about: ApprovalRequest, words: list[tuple[str, Verdict, str]]) -> list[Cast]:
    """Ten minutes apart, so that escalation falls between them."""
    named = digest(about)
    return [
        Cast(
            number=number,
            vote=vote(about, who, verdict, key, named=named),
            received=AT + timedelta(minutes=10 * number),
        )
        for number, (who, verdict, key) in enumerate(words, 1)
    ]


@given(requests, said, st.randoms())
def test_the_order_in_which_votes_are_handed_over_is_the_same_to_it(
    about: ApprovalRequest, words: list[tuple[str, Verdict, str]], random: object
) -> None:
    votes = came(about, words)
    mixed = list(votes)
    random.shuffle(mixed)  # type: ignore[attr-defined]  # hypothesis' own Random
    assert tally(about, mixed, LATE) == tally(about, votes, LATE)


@given(rules, st.sets(st.sampled_from(ANYONE), max_size=4))
def test_approvals_decide_the_same_in_whatever_order_they_came(asks: ApprovalRule, who: set[str]) -> None:
    about = request(asks)
    states = {
        tally(about, casts(*(vote(about, name) for name in order), after_s=7200), LATE).state
        for order in permutations(sorted(who))
    }
    assert len(states) == 1


@given(requests, said)
def test_a_vote_that_comes_twice_counts_once(
    about: ApprovalRequest, words: list[tuple[str, Verdict, str]]
) -> None:
    once = came(about, words)
    again = [one.model_copy(update={"number": one.number + len(once)}) for one in once]
    assert tally(about, once + again, LATE) == tally(about, once, LATE)


@given(requests, said, said)
def test_a_decision_is_never_withdrawn(
    about: ApprovalRequest,
    words: list[tuple[str, Verdict, str]],
    later: list[tuple[str, Verdict, str]],
) -> None:
    first = tally(about, came(about, words), LATE)
    after = tally(about, came(about, words + later), LATE)
    if first.state is not State.WAITING:
        assert (after.state, after.approved_by, after.rejected_by) == (
            first.state,
            first.approved_by,
            first.rejected_by,
        )
    changed = about.model_copy(update={"plan": {"names": ["evil.example.com"]}})
    assert tally(changed, came(about, words), LATE).state is State.WAITING


@given(requests, said)
def test_strangers_and_the_requester_never_make_up_for_an_approver(
    about: ApprovalRequest, words: list[tuple[str, Verdict, str]]
) -> None:
    askers = {one.name for one in (about.requester, about.on_behalf_of) if one is not None}
    counting = ({*NAMED} | {two for one, two in about.rule.deputies.items() if one not in askers}) - askers
    alone = [word for word in words if word[0] in counting]
    told, without = (
        tally(about, came(about, words), LATE),
        tally(about, _same_times(about, words, alone), LATE),
    )
    assert (told.state, told.approved_by) == (without.state, without.approved_by)
    if told.state is State.GRANTED:
        assert len(told.approved_by) >= about.rule.needed + ("unknown" in askers)
        assert not askers & set(told.approved_by)


def _same_times(
    about: ApprovalRequest, words: list[tuple[str, Verdict, str]], kept: list[tuple[str, Verdict, str]]
) -> list[Cast]:
    people = {who for who, _, _ in kept}
    return [cast for cast in came(about, words) if cast.vote.approver in people]


def state_of(about: ApprovalRequest, *votes: Vote, after_s: float = 1) -> State:
    return tally(about, casts(*votes, after_s=after_s), LATE).state


def test_m_of_n_is_granted_and_one_less_waits() -> None:
    about = request(rule(("anna", "ben", "cleo")))
    assert state_of(about, vote(about, "anna")) is State.WAITING
    assert state_of(about, vote(about, "anna"), vote(about, "cleo")) is State.GRANTED


def test_one_person_with_two_keys_counts_once() -> None:
    about = request(rule(("anna", "ben")))
    assert state_of(about, vote(about, "anna"), vote(about, "anna", key="2")) is State.WAITING


def test_a_rejection_ends_it_and_comes_too_late_after_the_decision() -> None:
    about = request(rule(("anna", "ben", "cleo")))
    yes = vote(about, "anna"), vote(about, "ben")
    assert state_of(about, yes[0], vote(about, "cleo", REJECT), yes[1]) is State.REFUSED
    assert state_of(about, *yes, vote(about, "cleo", REJECT)) is State.GRANTED
    assert state_of(about, vote(about, "sam", REJECT), *yes) is State.GRANTED


def test_an_unknown_requester_needs_one_approver_more() -> None:
    about = unknown(rule(("anna", "ben", "cleo")))
    assert state_of(about, vote(about, "anna"), vote(about, "ben")) is State.WAITING
    assert state_of(about, *(vote(about, name) for name in ("anna", "ben", "cleo"))) is State.GRANTED


def test_the_requester_counts_neither_as_approver_nor_as_deputy() -> None:
    approver = request(rule(("anna", "ben", "olga")))
    assert state_of(approver, vote(approver, "anna"), vote(approver, "olga")) is State.WAITING
    assert state_of(approver, vote(approver, "olga", REJECT)) is State.WAITING
    deputy = request(rule(("anna", "ben"), deputies={"ben": "olga"}))
    assert state_of(deputy, vote(deputy, "anna"), vote(deputy, "olga")) is State.WAITING
    standing_in = request(rule(("anna", "ben", "olga"), deputies={"olga": "dan"}))
    assert state_of(standing_in, vote(standing_in, "anna"), vote(standing_in, "dan")) is State.WAITING


def test_for_whom_a_service_has_asked_counts_no_more_than_if_they_had_asked_themselves() -> None:
    about = request(rule(("anna", "ben", "olga")), requester=SERVICE, on_behalf_of=OLGA)
    assert state_of(about, vote(about, "anna"), vote(about, "olga")) is State.WAITING
    assert "asked for it" in refusal(about, tally(about, (), AT), vote(about, "olga"), AT)
    assert state_of(about, vote(about, "anna"), vote(about, "ben")) is State.GRANTED
    strange = request(rule(("anna", "ben", "olga")), requester=SERVICE, on_behalf_of=UNKNOWN)
    assert tally(strange, (), AT).needed == 3


def test_a_deputy_counts_in_the_place_of_the_approver_and_together_they_count_once() -> None:
    about = request(rule(("anna", "ben"), deputies={"ben": "dan"}))
    assert state_of(about, vote(about, "anna"), vote(about, "dan")) is State.GRANTED
    assert state_of(about, vote(about, "ben"), vote(about, "dan")) is State.WAITING
    both = request(rule(("anna", "ben"), deputies={"anna": "dan", "ben": "dan"}))
    assert state_of(both, vote(both, "dan")) is State.WAITING
    assert state_of(both, vote(both, "dan"), vote(both, "anna")) is State.GRANTED


def test_the_next_group_is_asked_on_time_and_not_before() -> None:
    about = request(rule(("anna", "ben"), ("cleo",), needed=1))
    assert tally(about, [], AT).may_act == ("anna", "ben")
    assert tally(about, [], AT).escalates == AT + timedelta(hours=1)
    assert tally(about, [], AT + timedelta(hours=1)).may_act == ("anna", "ben", "cleo")
    assert tally(about, [], AT + timedelta(hours=1)).escalates is None
    assert state_of(about, vote(about, "cleo")) is State.WAITING
    assert state_of(about, vote(about, "cleo"), after_s=3600) is State.GRANTED


def test_it_expires_unless_it_was_decided_in_time() -> None:
    about = request(rule(("anna", "ben")))
    end = about.expires
    assert tally(about, casts(vote(about, "anna")), end).state is State.EXPIRED
    in_time = casts(vote(about, "anna"), vote(about, "ben"))
    assert tally(about, in_time, end).state is State.GRANTED
    too_late = casts(vote(about, "anna"), vote(about, "ben"), after_s=4 * 3600)
    assert tally(about, too_late, end).state is State.EXPIRED


def test_a_vote_that_is_not_taken_says_why() -> None:
    about = request(rule(("anna", "ben")))
    waiting, granted = tally(about, [], AT), tally(about, casts(vote(about, "anna"), vote(about, "ben")), AT)
    other = request(about.rule, operation="op-2")
    for one, so_far, at, why in (
        (vote(about, "anna"), waiting, AT, ""),
        (vote(other, "anna"), waiting, AT, "another plan"),
        (vote(about, "anna"), waiting, about.expires, "expired"),
        (vote(about, "olga"), waiting, AT, "asked for it"),
        (vote(about, "sam"), waiting, AT, "not among the approvers"),
        (vote(about, "anna"), granted, AT, "granted already"),
    ):
        told = refusal(about, so_far, one, at)
        assert why in told
        assert bool(told) == bool(why)


@pytest.mark.parametrize(
    "changed",
    [
        {"installation": "other"},
        {"namespace": "other"},
        {"workflow_type": "CertificateRevocation"},
        {"operation": "op-2"},
        {"plan": {"names": ["evil.example.com"]}},
        {"policy_version": 4},
        {"expires": AT + timedelta(days=9)},
        {"rule": rule(("anna",), needed=1)},
        {"requester": unknown(rule(("anna",), needed=1)).requester},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_every_part_of_a_request_is_bound_by_its_digest(changed: dict[str, object]) -> None:
    about = request(rule(("anna", "ben")))
    assert digest(about.model_copy(update=changed)) != digest(about)
    assert digest(ApprovalRequest.model_validate_json(about.model_dump_json())) == digest(about)


def test_every_word_of_a_vote_is_signed() -> None:
    about = request(rule(("anna", "ben")))
    yes = vote(about, "anna")
    others = (
        vote(about, "anna", REJECT),
        vote(about, "ben"),
        vote(about, "anna", key="2"),
        vote(request(about.rule, operation="op-2"), "anna"),
        yes.model_copy(update={"at": AT + timedelta(seconds=1)}),
    )
    assert len({statement(one) for one in (yes, *others)}) == 6
    assert statement(yes.model_copy(update={"signature": "BB=="})) == statement(yes)


def test_the_first_rule_that_fits_holds() -> None:
    asks = rule(("anna", "ben"))
    special = asks.model_copy(update={"scopes": ("pay-*",), "needed": 1})
    other = asks.model_copy(update={"capability": "keys"})
    typed = asks.model_copy(update={"workflow_types": ("CertificateRevocation",)})
    policy = Policy(
        installation="test",
        version=1,
        principals={"anna": PrincipalEntry()},
        approvals=(other, special, typed, asks),
    )
    assert rule_for(policy, "certificates", "CertificateRenewal", "pay-1") == special
    assert rule_for(policy, "certificates", "CertificateRevocation", "www") == typed
    assert rule_for(policy, "certificates", "CertificateRenewal", "www") == asks
    assert rule_for(policy, "payments", "PaymentBatch", "www") is None

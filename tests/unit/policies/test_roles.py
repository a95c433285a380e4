"""Every role against every act, and what holds for every set of grants."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.roles import ACTS, allowed
from schemas.policies import Grant, Policy, PrincipalEntry, Role
from schemas.principals import UNKNOWN, Act, Principal, Shown

MAY = {
    "viewer": {"read"},
    "operator": {"read", "start", "pause", "resume", "abort", "end-grace"},
    "approver": {"read", "approve", "reject"},
    "auditor": {"read", "decode", "export", "verify"},
    "admin": {"read", "change-policy"},
}
NAMES = ("anna", "ben", "service:api")
grants = st.builds(
    Grant,
    role=st.sampled_from(Role),
    principals=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True).map(tuple),
    capability=st.sampled_from(("*", "certificates", "keys")),
    scope=st.sampled_from(("*", "www.*", "db")),
)
principals = st.builds(
    Principal, name=st.sampled_from(NAMES), shown=st.just(Shown.SIGNING_KEY), hardware=st.booleans()
)
asked = st.tuples(
    st.sampled_from(Act),
    st.sampled_from(("certificates", "keys")),
    st.sampled_from(("www.example.com", "db")),
)


def policy(*given_grants: Grant) -> Policy:
    return Policy(
        installation="test",
        version=1,
        principals={name: PrincipalEntry() for name in NAMES},
        grants=given_grants,
    )


def anna(*, hardware: bool = False) -> Principal:
    return Principal(name="anna", shown=Shown.SIGNING_KEY, hardware=hardware)


@pytest.mark.parametrize(("role", "act"), list(product(Role, Act)))
def test_every_role_against_every_act(role: Role, act: Act) -> None:
    granted = policy(Grant(role=role, principals=("anna",)))
    expected = act in MAY[role]
    assert allowed(granted, anna(hardware=True), act, "certificates", "www").yes is expected
    in_software = allowed(granted, anna(), act, "certificates", "www").yes
    assert in_software is (expected and role is not Role.ADMIN)


def test_the_table_knows_every_role_and_every_act_is_somebodys() -> None:
    assert set(ACTS) == set(Role)
    assert frozenset().union(*ACTS.values()) == set(Act)


@given(st.lists(grants, max_size=6), principals, asked)
def test_the_order_of_grants_does_not_matter(
    some: list[Grant], who: Principal, what: tuple[Act, str, str]
) -> None:
    assert allowed(policy(*some), who, *what).yes is allowed(policy(*reversed(some)), who, *what).yes


@given(st.lists(grants, max_size=6), grants, principals, asked)
def test_a_further_grant_takes_nothing_away(
    some: list[Grant], one: Grant, who: Principal, what: tuple[Act, str, str]
) -> None:
    if allowed(policy(*some), who, *what).yes:
        assert allowed(policy(*some, one), who, *what).yes


@given(st.lists(grants, max_size=6), asked)
def test_what_others_are_granted_is_not_granted_to_who_is_unknown(
    some: list[Grant], what: tuple[Act, str, str]
) -> None:
    assert not allowed(policy(*some), UNKNOWN, *what).yes


def test_unknown_has_what_is_granted_to_unknown() -> None:
    granted = policy(Grant(role=Role.OPERATOR, principals=("unknown",), scope="lab-*"))
    assert allowed(granted, UNKNOWN, Act.START, "certificates", "lab-1").yes
    assert not allowed(granted, UNKNOWN, Act.START, "certificates", "www").yes
    assert not allowed(granted, anna(), Act.START, "certificates", "lab-1").yes


def test_a_grant_ends_at_its_capability_and_scope() -> None:
    granted = policy(
        Grant(role=Role.OPERATOR, principals=("anna",), capability="certificates", scope="*.example.com")
    )
    assert allowed(granted, anna(), Act.START, "certificates", "www.example.com").yes
    assert not allowed(granted, anna(), Act.START, "keys", "www.example.com").yes
    assert not allowed(granted, anna(), Act.START, "certificates", "www.example.com.evil.org").yes
    assert not allowed(granted, anna(), Act.START, "certificates", "WWW.EXAMPLE.COM").yes


def test_who_is_nobody_can_have_no_name_and_nobody_can_take_theirs() -> None:
    with pytest.raises(ValueError, match="unknown"):
        Principal(name="unknown", shown=Shown.OIDC)
    with pytest.raises(ValueError, match="unknown"):
        Principal(name="anna", shown=Shown.UNKNOWN)

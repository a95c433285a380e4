"""Policies: what is wrong with one, which may follow which, what changes, and windows."""

from datetime import UTC, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import policies as rules
from schemas.policies import (
    ApprovalRule,
    ApproverGroup,
    Grant,
    OidcIdentity,
    Policy,
    PrincipalEntry,
    Role,
    Window,
)
from tests.unit.policies.people import ANNA, SECOND, key_of, policy

KEYS = ("anna-1", "api-1", "root-1", "deputy-1", "strange")


def texts(given_policy: Policy) -> str:
    return "\n".join(one.text for one in rules.complaints(given_policy))


def test_a_sound_policy_has_no_complaint() -> None:
    assert not rules.complaints(policy(Grant(role=Role.OPERATOR, principals=("anna", "unknown"))))


def test_everything_wrong_is_said_at_once_with_its_place() -> None:
    bad = policy(
        Grant(role=Role.OPERATOR, principals=("carla",)),
        Grant(role=Role.APPROVER, principals=("unknown",)),
        Grant(role=Role.ADMIN, principals=("anna",)),
        admins_needed=3,
        approvals=(
            ApprovalRule(
                capability="keys", needed=1, groups=(ApproverGroup(name="first", approvers=("ben",)),)
            ),
        ),
    )
    found = rules.complaints(bad)
    assert {one.at for one in found} == {
        ("grants", 1),
        ("grants", 2),
        ("approvals", 0),
        ("principals", "anna"),
        ("admins_needed",),
    }


@pytest.mark.parametrize(
    ("needed", "starter", "capability", "scope", "possible"),
    [
        (1, "anna", "certificates", "*", True),
        (2, "anna", "certificates", "*", False),
        (2, "anna", "*", "www", False),
        (2, "anna", "keys", "*", True),
        (2, "anna", "certificates", "db-*", True),
        (2, "service:api", "certificates", "*", True),
        (1, "unknown", "certificates", "*", True),
        (2, "unknown", "certificates", "*", False),
    ],
)
def test_a_rule_can_be_met_by_others_than_who_asks(
    needed: int, starter: str, capability: str, scope: str, *, possible: bool
) -> None:
    group = ApproverGroup(name="first", approvers=("anna", "ben"))
    asks = ApprovalRule(capability="certificates", scopes=("www",), needed=needed, groups=(group,))
    may = Grant(role=Role.OPERATOR, principals=(starter,), capability=capability, scope=scope)
    approve = Grant(role=Role.APPROVER, principals=("anna", "ben"))
    said = texts(policy(may, approve, approvals=(asks,)))
    assert (said == "") is possible
    assert possible or f"what {starter} starts could never be approved" in said


def test_one_identity_leads_to_one_principal() -> None:
    people = policy().principals
    same = OidcIdentity(issuer="https://id.example.com", subject="7")
    bad = {
        **people,
        "ben": PrincipalEntry(oidc=(same,), signing_keys=(key_of(ANNA, "ben-1"),)),
        "carla": PrincipalEntry(oidc=(same,)),
    }
    told = texts(policy(principals=bad))
    assert "OIDC subject 7" in told
    assert "the public key" in told


@given(st.sets(st.sampled_from(KEYS)), st.integers(1, 3))
def test_only_admins_with_keys_in_hardware_count_each_once(signed_by: set[str], needed: int) -> None:
    before = policy(admins_needed=needed)
    expected = len({"root-1", "deputy-1"} & signed_by) >= needed
    assert rules.quorum(before, signed_by).yes is expected


def test_two_keys_of_one_admin_count_once() -> None:
    people = policy().principals
    root = people["root"].signing_keys[0]
    both = PrincipalEntry(signing_keys=(root, key_of(SECOND, "root-2")))
    before = policy(principals={**people, "root": both}, admins_needed=2)
    assert not rules.quorum(before, {"root-1", "root-2"}).yes


def test_a_version_follows_the_one_before_it_and_no_other() -> None:
    first = policy()
    assert rules.link(None, None, first) is None
    second = policy(version=2, previous_sha256="a" * 64)
    assert rules.link(first, "a" * 64, second) is None
    assert rules.link(first, "b" * 64, second)
    assert rules.link(None, None, second)
    assert rules.link(first, "a" * 64, second.model_copy(update={"version": 3}))
    assert rules.link(first, "a" * 64, second.model_copy(update={"installation": "other"}))


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-11-21T01:30:00+00:00", True),  # Saturday 02:30 in Berlin: the night that Friday began
        ("2026-11-20T21:00:00+00:00", True),  # Friday 22:00
        ("2026-11-20T20:59:59+00:00", False),
        ("2026-11-21T05:00:00+00:00", False),  # Saturday 06:00: the end is not included
        ("2026-11-21T22:00:00+00:00", False),  # Saturday night is none
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_on_which_it_begins(at: str, inside: bool) -> None:
    nights = Window(
        capability="certificates",
        days=("friday",),
        begin=time(22),
        end=time(6),
        time_zone="Europe/Berlin",
    )
    decision = rules.may_begin(
        policy(windows=(nights,)), "certificates", "CertificateRenewal", "www", datetime.fromisoformat(at)
    )
    assert decision.yes is inside


def test_what_no_window_fits_may_begin_at_any_time() -> None:
    only = Window(capability="certificates", scope="db*", begin=time(1), end=time(2))
    at = datetime(2026, 11, 21, 12, tzinfo=UTC)
    windowed = policy(windows=(only,))
    assert rules.may_begin(windowed, "certificates", "CertificateRenewal", "www", at).yes
    assert rules.may_begin(windowed, "keys", "KeyRotation", "db1", at).yes
    assert not rules.may_begin(windowed, "certificates", "CertificateRenewal", "db1", at).yes


@pytest.mark.parametrize("part", [{"capability": "certificates"}, {"scope": "www*"}])
def test_an_admin_of_one_part_does_not_change_the_policy_of_the_whole(part: dict[str, str]) -> None:
    narrow = Grant(role=Role.ADMIN, principals=("root", "deputy"), **part)
    before = policy().model_copy(update={"grants": (narrow,)})
    assert not rules.quorum(before, {"root-1", "deputy-1"}).yes
    assert any("could never change" in str(complaint) for complaint in rules.complaints(before))

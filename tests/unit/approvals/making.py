"""Requests and votes for the tests of the rules: signatures play no part there."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rules.approvals import digest
from schemas.approvals import ApprovalRequest, Cast, Verdict, Vote
from schemas.policies import ApprovalRule, ApproverGroup
from schemas.principals import UNKNOWN, Principal, Shown

AT = datetime(2026, 11, 21, 10, tzinfo=UTC)
OLGA = Principal(name="olga", shown=Shown.SIGNING_KEY)


def rule(
    *groups: Sequence[str], needed: int = 2, deputies: dict[str, str] | None = None, hours: float = 4
) -> ApprovalRule:
    """Asked one group after the other, an hour apart."""
    return ApprovalRule(
        capability="certificates",
        needed=needed,
        groups=tuple(
            ApproverGroup(name=f"group-{number}", approvers=tuple(group))
            for number, group in enumerate(groups, 1)
        ),
        deputies=deputies or {},
        expires_s=hours * 3600,
        escalate_after_s=3600,
    )


def request(
    asks: ApprovalRule,
    *,
    requester: Principal = OLGA,
    on_behalf_of: Principal | None = None,
    operation: str = "op-1",
    to: str = "www.example.com",
) -> ApprovalRequest:
    return ApprovalRequest(
        installation="test",
        namespace="default",
        workflow_type="CertificateRenewal",
        workflow_id="certificate-renewal/www",
        operation=operation,
        subject="www",
        plan={"names": [to]},
        requester=requester,
        on_behalf_of=on_behalf_of,
        policy_version=3,
        rule=asks,
        asked_at=AT,
        expires=AT + timedelta(seconds=asks.expires_s),
    )


def unknown(asks: ApprovalRule) -> ApprovalRequest:
    return request(asks, requester=UNKNOWN)


def vote(
    about: ApprovalRequest,
    approver: str,
    verdict: Verdict = Verdict.APPROVE,
    key: str = "1",
    *,
    named: str = "",
) -> Vote:
    """`named`: the request's digest, where it is known already."""
    return Vote(
        request=named or digest(about),
        verdict=verdict,
        approver=approver,
        key_id=f"{approver}-{key}",
        at=about.asked_at,
        signature="AA==",
    )


def casts(*votes: Vote, after_s: float = 1) -> list[Cast]:
    """As they came, one a second."""
    return [
        Cast(number=number, vote=one, received=AT + timedelta(seconds=after_s + number))
        for number, one in enumerate(votes, 1)
    ]

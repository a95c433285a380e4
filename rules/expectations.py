"""What a policy decides about a row of the table of `redoubt policy test`, by the rules that decide for real."""

from datetime import UTC, datetime, timedelta

from rules.approvals import rule_for
from rules.limits import Begun, refusal
from rules.policies import may_begin
from rules.roles import allowed
from schemas.expectations import Expected
from schemas.policies import Decision, Policy
from schemas.principals import UNKNOWN, UNKNOWN_NAME, Principal, Shown

_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""Limits compare times with each other only."""


def decided(policy: Policy, one: Expected) -> Decision:
    """Whether the act may begin: by the role, then by the windows and limits."""
    decision = allowed(policy, _who(one), one.act, one.capability, one.subject)
    if not decision.yes or not one.workflow_type:
        return decision
    if one.at is not None:
        window = may_begin(policy, one.capability, one.workflow_type, one.subject, one.at)
        if not window.yes:
            return window
    now = one.at or _SOME_TIME
    begun = [
        Begun(other.workflow_type, other.subject, now - timedelta(seconds=other.ago_s), other.under_way)
        for other in one.beside
    ]
    full = refusal(policy.limits, Begun(one.workflow_type, one.subject, now, under_way=True), begun)
    return Decision(yes=False, why=full) if full else decision


def approvals(policy: Policy, one: Expected) -> int:
    """How many must agree; of what is asked for by who is unknown, one more."""
    rule = rule_for(policy, one.capability, one.workflow_type, one.subject)
    return 0 if rule is None else rule.needed + (one.who == UNKNOWN_NAME)


def _who(one: Expected) -> Principal:
    if one.who == UNKNOWN_NAME:
        return UNKNOWN
    return Principal(name=one.who, shown=Shown.SIGNING_KEY, hardware=one.hardware)

"""Who may do what: the table of roles, and the decision.

- What no grant gives is refused. Grants only add: no order of them matters, and none takes away.
- Roles don't contain each other, but each may read: whoever may change the policy can't by that start a run.
- The role admin acts only by a hardware-backed signature; another role of the same person needs none.
- `unknown` has what is granted to `unknown`, and a person's grants are never those of `unknown`.
"""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Final

from schemas.policies import Decision, Grant, Policy, Role
from schemas.principals import Act, Principal

ACTS: Final[Mapping[Role, frozenset[Act]]] = {
    Role.VIEWER: frozenset({Act.READ}),
    Role.OPERATOR: frozenset({Act.READ, Act.START, Act.PAUSE, Act.RESUME, Act.ABORT, Act.END_GRACE}),
    Role.APPROVER: frozenset({Act.READ, Act.APPROVE, Act.REJECT}),
    Role.AUDITOR: frozenset({Act.READ, Act.DECODE, Act.EXPORT, Act.VERIFY}),
    Role.ADMIN: frozenset({Act.READ, Act.CHANGE_POLICY}),
}


def allowed(policy: Policy, principal: Principal, act: Act, capability: str, subject: str) -> Decision:
    """`principal` is what was verified, and not what somebody says of themselves."""
    fitting = [
        grant
        for grant in policy.grants
        if principal.name in grant.principals
        and act in ACTS[grant.role]
        and covers(grant, capability, subject)
    ]
    for grant in fitting:
        if grant.role is not Role.ADMIN or principal.hardware:
            return Decision(yes=True, why=f"{principal.name} has the role {grant.role} for {_where(grant)}")
    if fitting:
        return Decision(
            yes=False, why=f"{principal.name} is admin, and this was not signed by a key in hardware"
        )
    wanted = " or ".join(role for role, acts in ACTS.items() if act in acts)
    return Decision(
        yes=False, why=f"{principal.name} has no role that may {act} {subject} of {capability}: {wanted} may"
    )


def allowed_everywhere(
    policy: Policy, principal: Principal, act: Act, capabilities: Collection[str]
) -> Decision:
    """For what does not say what it is about: only a grant over every subject gives it, in each of the capabilities."""
    everything = policy.model_copy(update={"grants": tuple(one for one in policy.grants if one.scope == "*")})
    decisions = [allowed(everything, principal, act, one, "everything") for one in sorted(capabilities)]
    return next((one for one in decisions if not one.yes), decisions[0])


def covers(grant: Grant, capability: str, subject: str) -> bool:
    return grant.capability in {"*", capability} and fnmatchcase(subject, grant.scope)


def holders(policy: Policy, role: Role) -> frozenset[str]:
    """Everybody who has the role somewhere."""
    return frozenset(name for grant in policy.grants if grant.role is role for name in grant.principals)


def policy_admins(policy: Policy) -> frozenset[str]:
    """Who may change the policy: it decides about everything, so admins of one part of it may not."""
    return frozenset(
        name
        for grant in policy.grants
        if grant.role is Role.ADMIN and grant.capability == "*" and grant.scope == "*"
        for name in grant.principals
    )


def _where(grant: Grant) -> str:
    return f"{grant.scope} of {'every capability' if grant.capability == '*' else grant.capability}"

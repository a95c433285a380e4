"""Policy versions: what is wrong with one, whether it may follow another, and when an act may begin.

- A version holds by the one before it: same installation, next number, the digest of the exact bytes, and the
  signatures of as many different admins as that one asks for, each by a key in hardware that stands there.
- The first holds by its digest, which the settings name. So neither a database nor a file can bring in a policy.
- A signature is over a prefix of our own and the SHA-256 of the file's bytes.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rules.hardware import in_hardware, why_not
from rules.requests import SERVICE, fingerprint_of
from rules.roles import ACTS, holders, policy_admins
from schemas.policies import DAYS, ApprovalRule, Decision, Grant, Policy, Role, Window
from schemas.principals import UNKNOWN_NAME, Act

PREFIX: Final = b"redoubt policy 1\n"
_FOR_UNKNOWN: Final = frozenset({Role.VIEWER, Role.OPERATOR})


class Complaint(NamedTuple):
    at: tuple[str | int, ...]
    """Where in the file: field names and positions."""
    text: str


def digest(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()


def statement(document: bytes) -> bytes:
    """The bytes that an admin signs."""
    return PREFIX + hashlib.sha256(document).digest()


def complaints(policy: Policy) -> list[Complaint]:
    """Everything that the shape alone does not show."""
    return [*_names(policy), *_approvable(policy), *_identities(policy), *_admins(policy)]


def link(previous: Policy | None, previous_sha256: str | None, policy: Policy) -> str | None:
    """Why `policy` can't follow `previous`, whatever its signatures; None if it can."""
    if previous is None:
        return (
            None if policy.version == 1 else f"there is no version {policy.version - 1} that it could follow"
        )
    if policy.installation != previous.installation:
        return f"it is of another installation than version {previous.version}"
    if policy.version != previous.version + 1:
        return f"the version after {previous.version} is {previous.version + 1}, and not {policy.version}"
    if policy.previous_sha256 != previous_sha256:
        return f"previous_sha256 is not that of version {previous.version}: {previous_sha256}"
    return None


def quorum(previous: Policy, signed_by: Collection[str]) -> Decision:
    """`signed_by`: the IDs of the keys whose signatures over the new version's bytes are good."""
    admins = policy_admins(previous)
    signers = {
        name
        for name, entry in previous.principals.items()
        if name in admins
        and any(key.id in signed_by and in_hardware(previous, key) for key in entry.signing_keys)
    }
    needed = previous.admins_needed
    told = f"{len(signers)} of {needed} admins have signed by a key in hardware"
    return Decision(yes=len(signers) >= needed, why=f"{told} ({', '.join(sorted(signers)) or 'none'})")


def may_begin(policy: Policy, capability: str, workflow_type: str, subject: str, at: datetime) -> Decision:
    """Whether a start lies in a window. `at` has a time zone."""
    fitting = [
        window
        for window in policy.windows
        if window.capability in {"*", capability}
        and {"*", workflow_type} & set(window.workflow_types)
        and fnmatchcase(subject, window.scope)
    ]
    if not fitting:
        return Decision(yes=True, why="no window is set for it")
    if any(_inside(window, at) for window in fitting):
        return Decision(yes=True, why="it is inside its window")
    told = "; ".join(
        f"{', '.join(one.days)} from {one.begin:%H:%M} to {one.end:%H:%M} {one.time_zone}" for one in fitting
    )
    return Decision(yes=False, why=f"{subject} may begin only in its windows: {told}")


def _inside(window: Window, at: datetime) -> bool:
    local = at.astimezone(ZoneInfo(window.time_zone))
    now, today = local.time(), DAYS[local.weekday()]
    if window.begin < window.end:
        return today in window.days and window.begin <= now < window.end
    yesterday = DAYS[(local - timedelta(days=1)).weekday()]
    return (today in window.days and now >= window.begin) or (yesterday in window.days and now < window.end)


def _names(policy: Policy) -> Iterator[Complaint]:
    known = policy.principals.keys()
    for index, grant in enumerate(policy.grants):
        for name in grant.principals:
            if name == UNKNOWN_NAME:
                if grant.role not in _FOR_UNKNOWN:
                    yield Complaint(("grants", index), f"`unknown` can't be {grant.role}: name who it is")
            elif name not in known:
                yield Complaint(("grants", index), f"nobody named {name} is under principals")
    approvers = holders(policy, Role.APPROVER)
    for index, rule in enumerate(policy.approvals):
        named = [name for group in rule.groups for name in group.approvers]
        for name in dict.fromkeys((*named, *rule.deputies.values())):
            if name not in known:
                yield Complaint(("approvals", index), f"nobody named {name} is under principals")
            elif name not in approvers:
                yield Complaint(("approvals", index), f"{name} is to approve; grant them the role approver")


def _approvable(policy: Policy) -> Iterator[Complaint]:
    """Who asks doesn't count, and of who is unknown one more is needed: it must still be possible."""
    for index, rule in enumerate(policy.approvals):
        approvers = {name for group in rule.groups for name in group.approvers}
        starters = {
            name
            for grant in policy.grants
            if Act.START in ACTS[grant.role] and _may_meet(grant, rule)
            for name in grant.principals
        }
        for name in sorted(starters & {*approvers, UNKNOWN_NAME}):
            needed, there = rule.needed + (name == UNKNOWN_NAME), len(approvers - {name})
            if there < needed:
                yield Complaint(
                    ("approvals", index),
                    f"what {name} starts could never be approved: {needed} others must agree, and there are {there}",
                )


def _may_meet(grant: Grant, rule: ApprovalRule) -> bool:
    """Whether something may be in the scope of both: one pattern takes the other."""
    if "*" not in {grant.capability, rule.capability} and grant.capability != rule.capability:
        return False
    return any(fnmatchcase(scope, grant.scope) or fnmatchcase(grant.scope, scope) for scope in rule.scopes)


def _identities(policy: Policy) -> Iterator[Complaint]:
    """One way of showing who one is leads to one principal."""
    shown: Counter[str] = Counter()
    for name, entry in policy.principals.items():
        own = [
            *(f"the OIDC subject {one.subject} of {one.issuer}" for one in entry.oidc),
            *(f"the client certificate {one}" for one in entry.client_certificates),
            *(f"the API key with the hash {one}" for one in entry.api_keys),
            *(f"the signing key {one.id}" for one in entry.signing_keys),
            *(f"the public key with the fingerprint {fingerprint_of(one)}" for one in entry.signing_keys),
        ]
        shown.update(own)
        for what in dict.fromkeys(own):
            if shown[what] > 1:
                yield Complaint(("principals", name), f"{what} is named twice; it must lead to one principal")
        if entry.vouches_for and not name.startswith(SERVICE):
            yield Complaint(("principals", name), f"only a service may vouch; name it {SERVICE}{name}")


def _admins(policy: Policy) -> Iterator[Complaint]:
    able = 0
    everywhere = policy_admins(policy)
    for name in sorted(holders(policy, Role.ADMIN) & policy.principals.keys()):
        keys = policy.principals[name].signing_keys
        if any(in_hardware(policy, key) for key in keys):
            able += name in everywhere
        else:
            told = "; ".join(f"{key.id} does not count: {why_not(policy, key)}" for key in keys)
            yield Complaint(
                ("principals", name), f"{name} is admin and has no signing key in hardware ({told or 'none'})"
            )
    if able < policy.admins_needed:
        yield Complaint(
            ("admins_needed",),
            f"{policy.admins_needed} admins must sign the next version, and {able} could: it could never change",
        )

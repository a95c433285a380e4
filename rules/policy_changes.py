"""What a policy version changes, in words for who is to sign it.

- Whatever changes a decision is said: who is known by what, which key is whose and where it lies, who has which role,
  whose approval is needed, when an act may begin, which keys count as hardware. Two versions of which nothing is said
  decide alike.
- Keys and hashes are named by their fingerprints, so that a key which was swapped under its old name is seen.
- What comes again in another order is not said, except of approval rules: the first that fits is the one that holds.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from rules.requests import fingerprint_of
from schemas.limits import Limit, RateLimit
from schemas.policies import ApprovalRule, ApproverGroup, Grant, Policy, PrincipalEntry, Window
from schemas.signing_keys import Attestation, SigningKey

_SHOWN = 16
"""Characters of a hash: as many as a fingerprint has."""
_NOBODY = PrincipalEntry()


def changes(old: Policy | None, new: Policy) -> list[str]:
    """A line each; none if nothing changes. `old`: the version that holds; None if there is none yet."""
    if old is None:
        nothing = Policy(installation=new.installation, version=1, principals={})
        return ["It is the first version.", _admins_needed(new), *_changes(nothing, new)]
    return [
        *([_admins_needed(new)] if new.admins_needed != old.admins_needed else []),
        *_changes(old, new),
    ]


def _changes(old: Policy, new: Policy) -> Iterator[str]:
    yield from _people(old, new)
    yield from _turned(
        _granted(old), _granted(new), "{} gains the role {}.".format, "{} loses the role {}.".format
    )
    yield from _hardware(old, new)
    yield from _rules(old, new)
    windows = {_window(one) for one in old.windows}, {_window(one) for one in new.windows}
    yield from _came_and_went("window", *windows)
    yield from _came_and_went(
        "limit", {_limit(one) for one in old.limits}, {_limit(one) for one in new.limits}
    )


def _admins_needed(policy: Policy) -> str:
    return f"The next version needs the signatures of {policy.admins_needed} admins."


def _people(old: Policy, new: Policy) -> Iterator[str]:
    for name in sorted(old.principals.keys() | new.principals.keys()):
        if name not in new.principals:
            yield f"{name} is gone."
            continue
        if name not in old.principals:
            yield f"{name} is new."
        before, after = old.principals.get(name, _NOBODY), new.principals[name]
        yield from _turned(
            {(name, one) for one in _known_by(before)},
            {(name, one) for one in _known_by(after)},
            "{} is known by {}.".format,
            "{} is no longer known by {}.".format,
        )
        yield from _turned(
            {(name, str(way)) for way in before.vouches_for},
            {(name, str(way)) for way in after.vouches_for},
            "{} vouches for who is shown by {}.".format,
            "{} no longer vouches for who is shown by {}.".format,
        )
        yield from _keys(name, _by_id(before), _by_id(after))


def _known_by(entry: PrincipalEntry) -> Iterator[str]:
    yield from (f"the OIDC subject {one.subject} of {one.issuer}" for one in entry.oidc)
    yield from (f"the client certificate key {one[:_SHOWN]}" for one in entry.client_certificates)
    yield from (f"the API key with the hash {one[:_SHOWN]}" for one in entry.api_keys)


def _by_id(entry: PrincipalEntry) -> Mapping[str, SigningKey]:
    return {key.id: key for key in entry.signing_keys}


def _keys(name: str, before: Mapping[str, SigningKey], after: Mapping[str, SigningKey]) -> Iterator[str]:
    for key in sorted(before.keys() | after.keys()):
        was, now = before.get(key), after.get(key)
        if was is None and now is not None:
            yield f"{name} signs by the new key {key}: {_key(now)}."
        elif was is not None and now is None:
            yield f"{name} no longer signs by the key {key}: {_key(was)}."
        elif was is not None and now is not None and was != now:
            swapped = was.public_key != now.public_key
            what = (
                f"ANOTHER KEY stands under the name {key}"
                if swapped
                else f"what is said of the key {key} changes"
            )
            yield f"{name}: {what}: {_key(was)} becomes {_key(now)}."


def _key(key: SigningKey) -> str:
    """Everything of it that decides something."""
    told = f"{fingerprint_of(key)}, {_KINDS[key.kind]}"
    if key.custody is not None:
        custody = key.custody
        flags = [name.replace("_", " ") for name, value in custody if isinstance(value, bool) and not value]
        told += f" {custody.manufacturer} {custody.model} {custody.serial}"
        told += f" (not {', not '.join(flags)})" if flags else ""
    if key.kind == "fido2":
        told += f" for {key.relying_party}, "
        told += f"attested ({_attested(key.attestation)})" if key.attestation else "not attested"
    return told


def _attested(attestation: Attestation) -> str:
    return _digest(attestation.attestation_object + attestation.client_data)


_KINDS = {"file": "in a file", "pkcs11": "in the token", "fido2": "in a FIDO2 key"}


def _granted(policy: Policy) -> set[tuple[str, str]]:
    return {(name, _grant(grant)) for grant in policy.grants for name in grant.principals}


def _grant(grant: Grant) -> str:
    over = "every capability" if grant.capability == "*" else grant.capability
    return f"{grant.role} for {over}, {grant.scope}"


def _hardware(old: Policy, new: Policy) -> Iterator[str]:
    if old.hardware.software_tokens != new.hardware.software_tokens:
        yield (
            "Keys in SOFTWARE tokens count as hardware."
            if new.hardware.software_tokens
            else "Keys in software tokens no longer count as hardware."
        )
    roots = [{_digest(root) for root in one.hardware.attestation_roots} for one in (old, new)]
    yield from _came_and_went("root of FIDO2 attestations", *roots)
    if bool(roots[0]) != bool(roots[1]):
        yield f"FIDO2 keys {'need an' if roots[1] else 'no longer need an'} attestation to count as hardware."


def _rules(old: Policy, new: Policy) -> Iterator[str]:
    before, after = _by_reach(old.approvals), _by_reach(new.approvals)
    for reach in (*(one for one in before if one not in after), *after):
        was, now = before.get(reach), after.get(reach)
        if was is None and now is not None:
            yield from (f"Approval of {reach} is new: {told}." for told in _terms(now))
        elif now is None:
            yield f"Approval of {reach} is no longer asked for."
        elif was is not None and was != now:
            terms = set(_terms(was)), set(_terms(now))
            yield from (f"Approval of {reach}: no longer {told}." for told in sorted(terms[0] - terms[1]))
            yield from (f"Approval of {reach}: {told}." for told in sorted(terms[1] - terms[0]))
    orders = [[reach for reach in one if reach in before and reach in after] for one in (before, after)]
    if orders[0] != orders[1]:
        yield f"The first rule that fits holds, and the order is another: {'; '.join(orders[1])}."


def _by_reach(rules: Iterable[ApprovalRule]) -> dict[str, ApprovalRule]:
    """By what they are about; of several about the same the first holds, and the others never do."""
    found: dict[str, ApprovalRule] = {}
    for rule in rules:
        kinds, scopes = ", ".join(sorted(rule.workflow_types)), ", ".join(sorted(rule.scopes))
        found.setdefault(f"{kinds} of {rule.capability} ({scopes})", rule)
    return found


def _terms(rule: ApprovalRule) -> Iterator[str]:
    yield f"{rule.needed} must agree"
    for number, group in enumerate(rule.groups, 1):
        yield from _members(number, group)
    yield from (f"{deputy} may stand in for {name}" for name, deputy in sorted(rule.deputies.items()))
    yield f"it expires after {rule.expires_s:g} s"
    if len(rule.groups) > 1:
        yield f"the next group is asked after {rule.escalate_after_s:g} s"


def _members(number: int, group: ApproverGroup) -> Iterator[str]:
    for name in group.approvers:
        yield f"{name} is asked, in group {number} ({group.name})"


def _window(window: Window) -> str:
    kinds, days = ", ".join(sorted(window.workflow_types)), ", ".join(sorted(window.days))
    hours = f"{window.begin.isoformat()} to {window.end.isoformat()} {window.time_zone}"
    return f"{kinds} of {window.capability} ({window.scope}) on {days} from {hours}"


def _limit(limit: Limit) -> str:
    kinds = ", ".join(sorted(limit.workflow_types))
    over = f"each subject of {limit.scope}" if limit.per == "subject" else limit.scope
    when = f"within {limit.within_s:g} s" if isinstance(limit, RateLimit) else "at a time"
    return f"at most {limit.most} {kinds} of {limit.capability} ({over}) {when}"


def _came_and_went(what: str, before: set[str], after: set[str]) -> Iterator[str]:
    yield from (f"New {what}: {told}." for told in sorted(after - before))
    yield from (f"No {what} any more: {told}." for told in sorted(before - after))


def _turned(
    before: set[tuple[str, str]],
    after: set[tuple[str, str]],
    gained: Callable[[str, str], str],
    lost: Callable[[str, str], str],
) -> Iterator[str]:
    yield from (gained(*one) for one in sorted(after - before))
    yield from (lost(*one) for one in sorted(before - after))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_SHOWN]

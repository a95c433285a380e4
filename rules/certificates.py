"""When a certificate is due, and what is wrong with what came back from a CA.

Invariants:
- A certificate that has ended is due, whatever the policy says; one that isn't there at all is due.
- A long certificate is due `before_days` before its end; one that lives less than three times as long is
  short, and due when `fraction` of its lifetime is left. So none is due at the moment it is issued.
- Of several targets, the one whose certificate is due first decides, which may be one that ends later: it lived longer.
- What someone else has changed on a target counts before what CAs say, and that before the dates.
- After a renewal that failed, the sweep waits: `retry_s`, twice as long after each further failure in a row, at most
  a day, and never more than a quarter of the certificate's lifetime or of what is left of it. A person need not wait.
- What came back is used only if nothing is wrong with it: every deviation is named, not just the first.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from schemas.certificates import CertificateFacts, SweepDecision, SweepFinding
from schemas.settings.certificates import RenewalPolicy

CLOCK_SKEW = timedelta(minutes=5)
"""How far a CA's clock may be ahead of ours before a certificate counts as not yet valid."""

SHORT_LIVED_FACTOR = 3

LONGEST_HOLD = timedelta(days=1)
_MOST_DOUBLINGS = 30


def due_at(not_before: datetime, not_after: datetime, policy: RenewalPolicy) -> datetime:
    """The moment from which a certificate is due for renewal."""
    lifetime = not_after - not_before
    margin = timedelta(days=policy.before_days)
    if lifetime < SHORT_LIVED_FACTOR * margin:
        margin = lifetime * policy.fraction
    return not_after - margin


def due(
    certificate: str, held: Iterable[CertificateFacts | None], policy: RenewalPolicy, now: datetime
) -> SweepDecision:
    """Decide by what each target holds now; None for a target that holds nothing."""
    facts = list(held)
    present = [one for one in facts if one is not None]
    if len(present) < len(facts):
        return SweepDecision(
            certificate=certificate, due=True, why="a target has no certificate yet, or none that can be read"
        )
    when, ends = first_due(present, policy), min(one.not_after for one in present)
    why = f"valid until {_day(ends)}, to be renewed from {_day(when)}"
    if now >= ends:
        why = f"ended {_day(ends)}"
    return SweepDecision(certificate=certificate, due=now >= when, why=why, not_after=ends, due_at=when)


def first_due(held: Iterable[CertificateFacts], policy: RenewalPolicy) -> datetime:
    """When the first of them is due; there is at least one."""
    return min(due_at(one.not_before, one.not_after, policy) for one in held)


def as_swept(
    decision: SweepDecision,
    found: SweepFinding | None,
    held: Iterable[CertificateFacts | None],
    now: datetime,
) -> SweepDecision:
    """What the dates say, and what the last sweep has heard of the CAs, if that is about what the targets hold now."""
    if found is None or found.due_at is None or not found.is_about(held):
        return decision
    due = found.due or now >= found.due_at
    return decision.model_copy(update={"due": due, "due_at": found.due_at, "why": found.why})


def decided(
    by_dates: SweepDecision, changed: str | None, by_cas: SweepDecision | None, now: datetime
) -> SweepDecision:
    """`changed`: what was changed, in words; `by_cas`: what comes of the dates once CAs were heard; None: nothing."""
    if changed:
        return by_dates.model_copy(update={"due": True, "due_at": now, "why": changed})
    return by_cas or by_dates


def held_off_until(
    failures: Sequence[datetime], held: Iterable[CertificateFacts | None], policy: RenewalPolicy
) -> datetime | None:
    """Until when the sweep leaves a certificate alone; `failures` in a row, newest first; None: it does not."""
    if not failures:
        return None
    doublings = min(len(failures) - 1, _MOST_DOUBLINGS)
    hold = min(timedelta(seconds=policy.retry_s) * (1 << doublings), LONGEST_HOLD)
    for one in held:
        if one is not None:
            hold = min(hold, (one.not_after - one.not_before) / 4)
            if one.not_after > failures[0]:
                hold = min(hold, (one.not_after - failures[0]) / 4)
    return failures[0] + hold


def problems(
    issued: CertificateFacts,
    names: Iterable[str],
    public_key_sha256: str,
    previous: Iterable[str],
    now: datetime,
) -> tuple[str, ...]:
    """What is wrong with an issued certificate, in words; empty if it may be used.

    `previous` are the fingerprints that the targets hold now.
    """
    wanted = {name.lower() for name in names}
    got = {name.lower() for name in issued.names}
    checks = (
        (
            got == wanted,
            f"it is for {', '.join(sorted(got)) or 'no name'} and not for {', '.join(sorted(wanted))}",
        ),
        (issued.public_key_sha256 == public_key_sha256, "it is for another key"),
        (issued.chain_verified, "its chain does not lead to a root that the issuer is trusted by"),
        (issued.server_auth, "it may not be used for TLS servers"),
        (issued.not_before <= now + CLOCK_SKEW, f"it is not valid before {_day(issued.not_before)}"),
        (issued.not_after > now, f"it ended {_day(issued.not_after)}"),
        (issued.fingerprint not in set(previous), "it is the old certificate"),
    )
    return tuple(wrong for holds, wrong in checks if not holds)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")

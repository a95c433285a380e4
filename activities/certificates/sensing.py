"""What the CAs say of the certificates that targets hold: revoked, to be renewed now (RFC 9773), or not trusted here.

- A revoked certificate, and one of an issuer that the settings distrust, is due at once.
- Where a CA suggests a time it takes the place of our own (`rules.renewal_info`); where it can't be asked our own
  counts. A target that holds nothing is due whatever a CA suggests.
- Only what Redoubt had issued is asked about: of anything else neither the CA nor the chain is known.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from activities.certificates.issued import Issued
from activities.certificates.steps import Surroundings
from clients.issuers import SuggestsRenewal
from rules.renewal_info import Advice, advised
from schemas.certificates import CertificateFacts, SweepDecision
from schemas.errors import RedoubtError
from schemas.settings.certificates import RenewalPolicy


def heard(  # noqa: PLR0913 - what is held, and by what it is judged
    around: Surroundings,
    issued: Iterable[Issued],
    held: Collection[CertificateFacts | None],
    *,
    policy: RenewalPolicy,
    decision: SweepDecision,
    now: datetime,
) -> SweepDecision:
    """`decision` is what the dates alone say; returned as it is where no CA says more."""
    shown = {facts.fingerprint for facts in held if facts is not None}
    known = _known(issued, shown)
    for one in known.values():
        why = _at_once(around, one)
        if why:
            distrusted = one.issuer in around.distrusted
            changed = {"due": True, "due_at": now, "why": why, "distrusted": distrusted}
            return decision.model_copy(update=changed)
    advices = [advice for one in known.values() if (advice := _advice(around, one, policy, now))]
    if not advices or None in held:
        return decision
    first = min(advices, key=lambda advice: advice.moment)
    if len(advices) < len(shown) and not first.due:
        return decision
    changed = {"due": first.due, "due_at": first.moment, "why": f"to be renewed {first.why}"}
    return decision.model_copy(update=changed)


def _known(issued: Iterable[Issued], shown: Collection[str]) -> dict[str, Issued]:
    """Those that are shown; the newest stand first, so the search ends early."""
    found: dict[str, Issued] = {}
    for one in issued:
        if len(found) == len(shown):
            break
        if one.facts.fingerprint in shown:
            found[one.facts.fingerprint] = one
    return found


def _at_once(around: Surroundings, one: Issued) -> str:
    name = one.facts.fingerprint[:12]
    if one.issuer in around.distrusted:
        return f"{name} was issued by {one.issuer}, which is not trusted any more"
    status = around.revocations.status(one.chain, _anchors(around, one.issuer))
    if status.state != "revoked":
        return ""
    return f"{name} was revoked" + (f" ({status.reason})" if status.reason else "")


def _anchors(around: Surroundings, issuer: str) -> bytes:
    try:
        return around.issuer(issuer).trust_anchors()
    except RedoubtError:
        return b""  # the issuer's own certificate may stand in the chain


def _advice(around: Surroundings, one: Issued, policy: RenewalPolicy, now: datetime) -> Advice | None:
    """What the CA suggests; None where it suggests nothing or can't be asked."""
    try:
        issuer = around.issuer(one.issuer)
        window = issuer.renewal_info(one.chain) if isinstance(issuer, SuggestsRenewal) else None
    except RedoubtError:
        return None
    return None if window is None else advised(one.facts, policy, window, now)

"""Whether the policy's limits leave room for one more operation.

- Every limit that fits must leave room; none that fits leaves room for all.
- An operation counts from when its first effect was allowed: one that waits for people, or was refused, does not.
- A rate counts what has begun less than `within_s` ago; a simultaneous limit what has begun and not ended.
- More that has begun never makes room. Which order it is told in plays no part.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import NamedTuple

from schemas.catalogue import WORKFLOW_TYPES
from schemas.limits import Limit, RateLimit


class Begun(NamedTuple):
    """An operation that has begun its effects."""

    workflow_type: str
    subject: str
    at: datetime
    under_way: bool


def refusal(limits: Sequence[Limit], one: Begun, begun: Iterable[Begun]) -> str:
    """Why there is no room for `one` beside the others; "" if there is. `one.at`: now."""
    fitting = [limit for limit in limits if _fits(limit, one.workflow_type, one.subject)]
    if not fitting:
        return ""
    others = list(begun)
    told = [_full(limit, one, others) for limit in fitting]
    return next(filter(None, told), "")


def reaches_back(limits: Sequence[Limit], now: datetime) -> datetime:
    """The oldest beginning that any rate may have to count."""
    longest = max((limit.within_s for limit in limits if isinstance(limit, RateLimit)), default=0.0)
    return now - timedelta(seconds=longest)


def _fits(limit: Limit, workflow_type: str, subject: str) -> bool:
    return (
        limit.capability in {"*", WORKFLOW_TYPES[workflow_type].capability}
        and bool({"*", workflow_type} & set(limit.workflow_types))
        and fnmatchcase(subject, limit.scope)
    )


def _full(limit: Limit, one: Begun, others: Sequence[Begun]) -> str:
    counted = [other for other in others if _counts(limit, one, other)]
    if len(counted) < limit.most:
        return ""
    about = one.subject if limit.per == "subject" else limit.scope
    kinds = "operations" if "*" in limit.workflow_types else ", ".join(limit.workflow_types)
    if not isinstance(limit, RateLimit):
        return f"{len(counted)} {kinds} of {about} are under way, and {limit.most} may be at a time"
    leaves = sorted(other.at for other in counted)[-limit.most] + timedelta(seconds=limit.within_s)
    return (
        f"{len(counted)} {kinds} of {about} have begun within {limit.within_s:g} s, and {limit.most} may; "
        f"there is room from {leaves:%Y-%m-%d %H:%M:%S} UTC"
    )


def _counts(limit: Limit, one: Begun, other: Begun) -> bool:
    if not _fits(limit, other.workflow_type, other.subject):
        return False
    if limit.per == "subject" and other.subject != one.subject:
        return False
    if isinstance(limit, RateLimit):
        return other.at > one.at - timedelta(seconds=limit.within_s)
    return other.under_way

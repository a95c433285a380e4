"""When certificates are due and end, as entries of a calendar.

- A certificate is due when the first of its targets is, and ends when the first of them does: as the sweep decides,
  and where that has heard something of the CAs, when they say.
- What is past is no date any more: a certificate that was due, or has ended, or that a target has not got at all,
  stands before every date, as overdue, ended or missing.
- A week begins on Monday (ISO 8601). All dates are UTC.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from rules.certificates import as_swept, first_due
from schemas.certificates import CertificateFacts, SweepDecision, SweepFinding
from schemas.settings.certificates import RenewalPolicy


class What(StrEnum):
    MISSING = "missing"
    ENDED = "ended"
    OVERDUE = "overdue"
    DUE = "due"
    ENDS = "ends"


@dataclass(frozen=True)
class Date:
    certificate: str
    what: What
    at: datetime | None
    """None: missing."""


def dates(
    certificate: str,
    held: Iterable[CertificateFacts | None],
    policy: RenewalPolicy,
    now: datetime,
    found: SweepFinding | None = None,
) -> tuple[Date, ...]:
    """Its dates, in order; `held` is what could be looked at, target by target, `found` what the last sweep found."""
    facts = list(held)
    present = [one for one in facts if one is not None]
    missing = (Date(certificate, What.MISSING, None),) if len(present) < len(facts) else ()
    if not present:
        return missing
    own = first_due(present, policy)
    by_dates = SweepDecision(certificate=certificate, due=own <= now, why="", due_at=own)
    decision = as_swept(by_dates, found, facts, now)
    ends = min(one.not_after for one in present)
    if ends <= now:
        return (*missing, Date(certificate, What.ENDED, ends))
    first = Date(certificate, What.OVERDUE if decision.due else What.DUE, decision.due_at)
    return (*missing, first, Date(certificate, What.ENDS, ends))


def past(one: Date) -> bool:
    return one.what in {What.MISSING, What.ENDED, What.OVERDUE}


def by_period(found: Iterable[Date], *, weeks: bool) -> list[tuple[date | None, Sequence[Date]]]:
    """Dates by the first day of their period, in order; None first, for what is past."""
    periods: dict[date | None, list[Date]] = {}
    for one in found:
        period = None if past(one) or one.at is None else _begin(one.at.date(), weeks=weeks)
        periods.setdefault(period, []).append(one)
    ordered = sorted(periods.items(), key=lambda item: (item[0] is not None, item[0] or date.min))
    return [(period, sorted(inside, key=_order)) for period, inside in ordered]


def _begin(day: date, *, weeks: bool) -> date:
    return day - timedelta(days=day.weekday()) if weeks else day


def _order(one: Date) -> tuple[float, str, str]:
    return (one.at.timestamp() if one.at else 0.0, one.certificate, one.what)

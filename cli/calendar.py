"""`redoubt certs calendar`: when each certificate is due and when it ends, by day or by week.

What is overdue, has ended or is not there stands first. What can't be looked at is named and exits 3.
"""

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.inventory import finding, inventory, recorded
from cli.output import ExitCode, Format, Output, document, lines, put, say
from clients.settings import load
from rules.calendar import Date, by_period, dates, past
from schemas.certificates import SweepFinding
from schemas.errors import RedoubtError
from workers.wiring import Wiring


class Period(StrEnum):
    DAY = "day"
    WEEK = "week"


By = Annotated[Period, typer.Option("--by", help="A heading a day, or a week (Monday to Sunday).")]
Days = Annotated[int, typer.Option("--days", min=1, max=3660, help="How far it looks ahead.")]


def calendar(by: By = Period.DAY, days: Days = 90, output: Output = Format.TEXT) -> None:
    """Show when each certificate is due and ends (UTC); exit code 3 if a target could not be looked at."""
    now = datetime.now(UTC)
    found, unread = _found(Wiring(load()), now)
    shown = [one for one in found if one.at is None or past(one) or one.at <= now + timedelta(days=days)]
    periods = by_period(shown, weeks=by is Period.WEEK)
    if output is Format.TEXT:
        _draw(periods, by, now)
        if not shown:
            say(f"Nothing is due or ends within {days} days.")
    else:
        rows = [_row(one, period, now) for period, inside in periods for one in inside]
        document(rows) if output is Format.JSON else lines(rows)
    for message in unread:
        say(message)
    if unread:
        raise typer.Exit(ExitCode.SKIPPED)


def _found(wiring: Wiring, now: datetime) -> tuple[list[Date], list[str]]:
    """Every date, and what could not be looked at."""
    found: list[Date] = []
    unread: list[str] = []
    for name, group in itertools.groupby(inventory(wiring), key=lambda one: one.certificate):
        targets = list(group)
        unread += [f"{name} on {one.target}: {one.error}" for one in targets if one.error]
        seen = [one.facts for one in targets if not one.error]
        found += dates(name, seen, targets[0].settings.renew, now, _finding(wiring, name))
    return found, unread


def _finding(wiring: Wiring, name: str) -> SweepFinding | None:
    """None too where the records do not answer: then the dates alone count."""
    try:
        return finding(recorded(wiring, name))
    except RedoubtError:
        return None


def _draw(periods: Sequence[tuple[date | None, Sequence[Date]]], by: Period, now: datetime) -> None:
    for period, inside in periods:
        put(_heading(period, by, now))
        for one in inside:
            at = "" if one.at is None else f"{one.at:%Y-%m-%d %H:%M}Z"
            put(f"  {one.what:<8} {at:<18} {one.certificate}")


def _heading(period: date | None, by: Period, now: datetime) -> str:
    if period is None:
        return "now"
    away = (period - now.date()).days
    if by is Period.WEEK:
        year, week, _ = period.isocalendar()
        return f"{year}-W{week:02}  from {period:%a %Y-%m-%d}" + ("  (this week)" if away <= 0 else "")
    return f"{period:%Y-%m-%d %a}" + ("  (today)" if away == 0 else f"  (in {away} days)")


def _row(one: Date, period: date | None, now: datetime) -> dict[str, Any]:
    return {
        "period": None if period is None else period.isoformat(),
        "what": one.what.value,
        "certificate": one.certificate,
        "at": None if one.at is None else one.at.isoformat(),
        "in_days": None if one.at is None else (one.at - now).days,
    }

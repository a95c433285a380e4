"""`redoubt certs`: its commands, and `list`: every certificate of the inventory, by what its targets hold now.

What a target holds is read where it lies, not remembered; what can't be read is shown as such, and exits 3. A
certificate is due by its dates, by what someone else has changed, and by what the last sweep has heard of the CAs.
That and its last renewal come from the records.
"""

import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import typer

from cli.account import account_rollover
from cli.calendar import calendar
from cli.discover import discover
from cli.inventory import LOOKS, Held, finding, inventory, recorded
from cli.output import ExitCode, Format, Output, put, say, table
from cli.rehearsal import rehearse
from clients.settings import load
from rules import certificates as rules
from schemas.certificates import CertificateFacts, SweepFinding
from schemas.errors import RedoubtError
from schemas.evidence import Event
from schemas.settings.certificates import CertificateSettings
from workers.wiring import Wiring

app = typer.Typer(no_args_is_help=True, help="Certificates: what each target holds, and what is due.")

_COLUMNS: Final = ("name", "target", "issuer", "not_after", "days_left", "due", "last_renewal")
"""For people: why it is due or not stands below the table, once a certificate."""


@app.callback()
def certs() -> None:
    """Certificates: what each target holds, and what is due."""


app.command("account-rollover")(account_rollover)
app.command("calendar")(calendar)
app.command("discover")(discover)
app.command("rehearse")(rehearse)


@app.command("list")
def list_certificates(output: Output = Format.TEXT) -> None:
    """List every certificate of the inventory, a line a target; exit code 3 if one could not be looked at."""
    wiring = Wiring(load())
    rows = [
        row
        for _, lines in itertools.groupby(inventory(wiring), key=lambda one: one.certificate)
        for row in _rows(wiring, list(lines), datetime.now(UTC))
    ]
    shown = [{**row, "last_renewal": row["last_renewal"][:16].replace("T", " ")} for row in rows]
    table(
        shown if output is Format.TEXT else rows, _COLUMNS, output, empty="The settings name no certificates."
    )
    if output is Format.TEXT:
        for name, why in {str(row["name"]): row["why"] for row in rows}.items():
            put(f"{name}: {why}")
    unread = [row for row in rows if row["error"]]
    for row in unread:
        say(f"{row['name']} on {row['target']}: {row['error']}")
    if unread:
        raise typer.Exit(ExitCode.SKIPPED)


def _rows(wiring: Wiring, looked: Sequence[Held], now: datetime) -> Iterator[dict[str, Any]]:
    """Of one certificate."""
    name, given = looked[0].certificate, looked[0].settings
    known = _known(wiring, name)
    last = known if isinstance(known, str) else _last_renewal(known)
    found = None if isinstance(known, str) else finding(known)
    seen = [one.facts for one in looked if not one.error]
    due, why = _decision(looked[0], seen, _changed(wiring, name, given), found, now)
    for one in looked:
        facts = one.facts
        yield {
            "name": name,
            "names": list(given.names),
            "target": one.target,
            "issuer": facts.issuer if facts else "",
            "fingerprint": facts.fingerprint if facts else "",
            "not_after": f"{facts.not_after:%Y-%m-%d %H:%M}Z" if facts else "",
            "days_left": (facts.not_after - now).days if facts else None,
            "due": due,
            "why": why,
            "last_renewal": last,
            "error": one.error,
        }


def _decision(
    one: Held,
    seen: list[CertificateFacts | None],
    changed: str | None,
    found: SweepFinding | None,
    now: datetime,
) -> tuple[bool | None, str]:
    """Whether it is due, None if that can't be told; and why."""
    if not seen:
        return None, "no target could be looked at"
    by_dates = rules.due(one.certificate, seen, one.settings.renew, now)
    decision = rules.decided(by_dates, changed, rules.as_swept(by_dates, found, seen, now), now)
    return decision.due, decision.why


def _changed(wiring: Wiring, name: str, given: CertificateSettings) -> str | None:
    """What someone else has changed on a target; None too if that can't be told: then the row's error says why."""
    from activities.certificates.drift import drifted  # noqa: PLC0415  # loads where the store is looked at

    try:
        return drifted(wiring.journal(), wiring.target, name, given, LOOKS)
    except RedoubtError:
        return None


def _known(wiring: Wiring, name: str) -> list[dict[str, Any]] | str:
    """What the records say, or in words why that can't be told."""
    try:
        return recorded(wiring, name)
    except RedoubtError as away:
        return f"unknown: {away.code}"


def _last_renewal(known: list[dict[str, Any]]) -> str:
    """When the newest renewal was closed as renewed; empty if the records know of none."""
    closed = (one for one in reversed(known) if one["what"] == Event.OPERATION_CLOSED)
    return next((one["at"] for one in closed if one["facts"].get("outcome") == "renewed"), "")

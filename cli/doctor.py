"""`redoubt doctor`: what stands between this installation and its work, and how to mend it.

Every check runs, whatever the others found; each says in words what it saw. The exit code is 0 if nothing is
broken (warnings are no fault), 5 if something that is needed does not answer, 1 if something else is broken, 2 if
the settings can't be read at all.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

import typer

from cli.checks import Finding, State, checked
from cli.output import ExitCode, Format, Output, put, say, table
from clients.settings import load, problems

_SIGNS: Final = {
    State.OK: "ok",
    State.WARNING: "warning",
    State.BROKEN: "BROKEN",
    State.AWAY: "NOT REACHABLE",
}


def command(output: Output = Format.TEXT) -> None:
    """Say what is wrong and how to mend it."""
    wrong = [Finding("settings", State.BROKEN, str(one), "redoubt config example") for one in problems()]
    findings = wrong or list(_all())
    if output is Format.TEXT:
        for one in findings:
            put(f"{_SIGNS[one.state]:<13} {one.check}: {one.saw}")
            if one.mend and one.state is not State.OK:
                put(f"{'':<13} mend: {one.mend}")
    else:
        table([{**asdict(one), "state": _SIGNS[one.state].lower()} for one in findings], (), output)
    states = {one.state for one in findings}
    if wrong:
        raise typer.Exit(ExitCode.USAGE)
    if State.BROKEN in states:
        raise typer.Exit(ExitCode.FAILED)
    if State.AWAY in states:
        raise typer.Exit(ExitCode.UNREACHABLE)
    say("Nothing is broken." if State.WARNING in states else "All is well.")


def _all() -> Iterator[Finding]:
    from cli.checks_breakers import breaker_checks  # noqa: PLC0415  # broken settings need none of these
    from cli.checks_cluster import cluster_checks  # noqa: PLC0415
    from cli.checks_here import local_checks  # noqa: PLC0415
    from workers.wiring import Wiring  # noqa: PLC0415

    wiring = Wiring(load())
    for check in (*local_checks(wiring), *cluster_checks(wiring), *breaker_checks(wiring)):
        yield from checked(check)

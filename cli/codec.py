"""`redoubt codec`: the keys that payloads are encrypted with.

A rotation is an operation like any other: its intent is recorded before the new version is made, its outcome after
it. One that was killed in between is finished by the next, which makes no further version if there is one.
"""

import getpass
from typing import Any

import typer

from cli import failures
from cli.output import ExitCode, Format, Output, record, say
from clients.settings import load
from clients.temporal.correlation import correlated
from rules.points import reached
from schemas.evidence import Event
from workers.wiring import Wiring

app = typer.Typer(no_args_is_help=True, help="The keys that payloads are encrypted with.")

_KIND = "CodecRotation"


@app.command()
def status(output: Output = Format.TEXT) -> None:
    """Show the versions of the payload key: the newest encrypts, all decrypt."""
    versions = Wiring(load()).key_ring().versions()
    record({"newest": versions[-1] if versions else None, "versions": list(versions)}, output)
    if not versions:
        say("There is no payload key yet: `redoubt codec rotate` makes the first.")
        raise typer.Exit(ExitCode.SKIPPED)


@app.command()
def rotate(output: Output = Format.TEXT) -> None:
    """Make a new version of the payload key; what is encrypted with the old ones stays readable."""
    with correlated(failures.correlation_id):
        record(_rotate(Wiring(load(), "cli")), output)
    say("Processes see it within seconds. Old histories stay readable: never delete an old version.")


def _rotate(wiring: Wiring) -> dict[str, Any]:
    journal, ring = wiring.journal(), wiring.key_ring()
    before = max(ring.versions(), default=0)
    operation = journal.open(
        kind=_KIND,
        subject=wiring.settings.codec.scope,
        workflow_id="",
        run="",
        who=f"cli:{getpass.getuser()}",
        correlation_id=failures.correlation_id,
        state={"newest": before},
    )
    known = operation.state["newest"]
    step = journal.begin(operation.operation, "rotate", Event.CODEC_KEY_ROTATED, {"from": known})
    reached("rotation.begun")
    if step.result is None:
        made = before if before != known else ring.rotate()
        reached("payload-key.made")
        result = {"from": known, "to": made}
        step_result = journal.finish(operation.operation, "rotate", Event.CODEC_KEY_ROTATED, result, result)
    else:
        step_result = step.result
    journal.close(operation.operation, "rotated", {})
    return dict(step_result)

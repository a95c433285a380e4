"""`redoubt history`: what a run did, as a file, and whether this code would do the same again."""

import getpass
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from cli import failures
from cli.cluster import PATIENCE, Cluster, on_cluster, speaking
from cli.histories import decoded, read, unreadable
from cli.output import ExitCode, Format, Output, say, table
from clients.secrets.files import store_file
from schemas.errors import InvalidInput
from schemas.evidence import Entry, Event, Kind
from workers.pools import POOLS

app = typer.Typer(no_args_is_help=True, help="Export histories, and replay them against this code.")

WorkflowId = Annotated[str, typer.Argument(metavar="ID", help="Workflow ID, as `redoubt list` shows it.")]
RunId = Annotated[str | None, typer.Option("--run-id", help="One run of this ID; the newest without.")]


@app.command()
def export(
    workflow_id: WorkflowId,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file (mode 0600).")],
    run_id: RunId = None,
    decode: Annotated[
        bool, typer.Option("--decode", help="Decode the payloads; it is recorded in the evidence.")
    ] = False,
) -> None:
    """Write a run's history to a file, as `temporal workflow show -o json` has it; payloads stay encrypted."""

    async def talk(cluster: Cluster) -> WorkflowHistory:
        history = await _fetch(cluster, workflow_id, run_id)
        if not decode:
            return history
        _record_decode(cluster, workflow_id)
        return await decoded(history, cluster.wiring.codec())

    history = on_cluster(talk)
    try:
        store_file(file.absolute(), history.to_json().encode())
    except OSError as refused:
        raise InvalidInput(f"{file} can't be written: {refused.strerror or 'it exists'}.") from None
    say(f"{len(history.events)} events of {workflow_id} are in {file}.")


@app.command()
def replay(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE", help="Exported histories.")] = None,
    workflow_id: Annotated[str, typer.Option("--id", help="A run on the cluster instead.")] = "",
    output: Output = Format.TEXT,
) -> None:
    """Replay histories against this code; exit code 4 if it would do something else, 3 if a key is missing."""
    if bool(files) == bool(workflow_id):
        raise typer.BadParameter("give either files or --id", param_hint="FILE or --id")
    given = [read(file) for file in files or ()]

    async def talk(cluster: Cluster) -> list[dict[str, str]]:
        histories = given or [await _fetch(cluster, workflow_id, None)]
        return [await _replayed(cluster, history) for history in histories]

    rows = on_cluster(talk)
    table(rows, ("workflow_id", "replay", "why"), output)
    outcomes = {row["replay"] for row in rows}
    if "differs" in outcomes:
        raise typer.Exit(ExitCode.VERIFICATION)
    if "unreadable" in outcomes:
        raise typer.Exit(ExitCode.SKIPPED)


async def _fetch(cluster: Cluster, workflow_id: str, run_id: str | None) -> WorkflowHistory:
    handle = await cluster.handle(workflow_id, run_id)
    with speaking(f"The run {workflow_id}"):
        return await handle.fetch_history(rpc_timeout=PATIENCE)


async def _replayed(cluster: Cluster, history: WorkflowHistory) -> dict[str, str]:
    row = {"workflow_id": history.workflow_id, "replay": "same", "why": ""}
    if why := await unreadable(history, cluster.wiring.codec()):
        return {**row, "replay": "unreadable", "why": why}
    replayer = Replayer(workflows=_workflows(), plugins=[cluster.wiring.plugin()])
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    if result.replay_failure is not None:
        return {**row, "replay": "differs", "why": str(result.replay_failure).splitlines()[0]}
    return row


def _workflows() -> Sequence[type]:
    return list(dict.fromkeys(one for pool in POOLS.values() for one in pool.load_workflows()))


def _record_decode(cluster: Cluster, workflow_id: str) -> None:
    """Recorded before anything is decoded: no evidence, no plain text."""
    cluster.wiring.journal().note(
        Entry(
            operation=f"export/{failures.correlation_id}",
            step="history.export",
            kind=Kind.NOTE,
            what=Event.PAYLOAD_DECODED,
            subject=workflow_id,
            who=f"cli:{getpass.getuser()}",
            correlation_id=failures.correlation_id,
            at=datetime.now(UTC),
            facts={"by": "redoubt history export --decode"},
        )
    )

"""`redoubt schedules`: the cluster's schedules, made to match the settings, and how they fare."""

from datetime import datetime
from typing import Annotated, Any

import typer

from cli.cluster import PATIENCE, Cluster, on_cluster, speaking
from cli.output import Format, Output, say, table
from cli.scheduling import Change, apply, ours, prefix

app = typer.Typer(no_args_is_help=True, help="Make the cluster's schedules match the settings.")

_COLUMNS = ("schedule", "paused", "next", "last", "runs", "missed", "skipped")


@app.command("apply")
def apply_command(
    dry: Annotated[bool, typer.Option("--dry-run", help="Print what would change; change nothing.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Create, update and delete until the cluster's schedules are those of the settings; prints what changed."""

    async def talk(cluster: Cluster) -> list[Change]:
        return await apply(cluster, dry=dry)

    rows = [
        {"schedule": one.id, "change": one.change, "from": _words(one, 0), "to": _words(one, 1)}
        for one in on_cluster(talk)
    ]
    table(rows, ("schedule", "change", "from", "to"), output, empty="The settings name no schedules.")
    if dry:
        say("Nothing was changed.")


@app.command("list")
def list_command(output: Output = Format.TEXT) -> None:
    """List our schedules: next and last run, and how many were missed or skipped."""
    table(
        on_cluster(_listed), _COLUMNS, output, empty="There are none: `redoubt schedules apply` makes them."
    )


async def _listed(cluster: Cluster) -> list[dict[str, Any]]:
    rows = []
    for client in await cluster.clients():
        with speaking(f"The namespace {client.namespace}"):
            async for handle in ours(client, prefix(cluster)):
                described = await handle.describe(rpc_timeout=PATIENCE)
                info, state = described.info, described.schedule.state
                last = info.recent_actions[-1].started_at if info.recent_actions else None
                rows.append(
                    {
                        "schedule": described.id,
                        "namespace": client.namespace,
                        "paused": state.paused,
                        "note": state.note or "",
                        "next": _moment(info.next_action_times[0] if info.next_action_times else None),
                        "next_runs": [_moment(moment) for moment in info.next_action_times],
                        "last": _moment(last),
                        "runs": info.num_actions,
                        "missed": info.num_actions_missed_catchup_window,
                        "skipped": info.num_actions_skipped_overlap,
                    }
                )
    return rows


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}Z" if moment else ""


def _words(change: Change, side: int) -> str:
    return ", ".join(f"{name}={values[side]}" for name, values in change.fields.items())

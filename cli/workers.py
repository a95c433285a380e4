"""`redoubt workers`: the processes that do the work."""

from typing import Annotated, Any, Literal

import typer

from cli.output import Format, Output, say, table
from schemas.errors import InvalidSettings
from schemas.settings.processes import PoolSettings

app = typer.Typer(no_args_is_help=True, help="Run worker pools.")

_COLUMNS = ("pool", "queue", "does", "runs", "polled_by")


@app.command("run")
def run_pools(
    pools: Annotated[list[str], typer.Argument(metavar="POOL", help="`redoubt workers list` names them.")],
    only: Annotated[
        Literal["workflows", "activities"] | None,
        typer.Option(help="One half of the pools' work, where the halves run in processes of their own."),
    ] = None,
) -> None:
    """Work until SIGTERM or Ctrl-C, then drain; a second signal ends it at once."""
    from clients.settings import load  # noqa: PLC0415  only a worker loads what a worker needs
    from workers.pools import POOLS, named  # noqa: PLC0415
    from workers.run import main  # noqa: PLC0415

    try:
        named(pools, POOLS)
    except InvalidSettings as unknown:  # a slip of the pen, whatever the settings are
        raise typer.BadParameter(unknown.in_full, param_hint="POOL") from unknown
    raise typer.Exit(main(load(), pools, only))


@app.command("list")
def list_pools(output: Output = Format.TEXT) -> None:
    """The pools: what each runs, and who polls its queue now."""
    from cli.cluster import on_cluster  # noqa: PLC0415  the help does without Temporal

    table(on_cluster(_rows), _COLUMNS, output)


async def _rows(cluster: Any) -> list[dict[str, Any]]:
    from workers.pools import POOLS  # noqa: PLC0415  with the wiring
    from workers.queues import pollers  # noqa: PLC0415

    rows = []
    for pool in POOLS.values():
        found = await pollers(await cluster.client(pool.name), pool.name) if pool.on_temporal else {}
        polled_by = [f"{one.identity} ({kind})" for kind, ones in found.items() for one in ones]
        runs = [*pool.workflow_types, *(duty.name for duty in pool.duties)]
        queue = pool.name if pool.on_temporal else None
        rows.append(
            {"pool": pool.name, "queue": queue, "does": pool.does, "runs": runs, "polled_by": polled_by}
        )
    return rows


@app.command("promote")
def promote_build(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="A pool whose settings name a deployment.")],
    build_id: Annotated[str, typer.Option(help="The build; the settings' own without.")] = "",
) -> None:
    """Make a build the current one of the pool's deployment: new runs go to it."""
    from cli.cluster import Cluster, on_cluster  # noqa: PLC0415  the help does without Temporal
    from workers.queues import promote  # noqa: PLC0415

    async def talk(cluster: Cluster) -> str:
        given = cluster.settings.pools.get(pool, PoolSettings())
        build = build_id or given.build_id
        if given.deployment is None or build is None:
            raise InvalidSettings(f"pools.{pool} names no deployment and build_id: the pool is unversioned.")
        before = await promote(await cluster.client(pool), given.deployment, build)
        return f"{given.deployment}: {build} is current" + (f", {before} was" if before else "")

    say(on_cluster(talk))

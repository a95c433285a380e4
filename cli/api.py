"""`redoubt api`: the HTTP API as a process, and the keys that programs call it with."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import Format, Output, record, say

if TYPE_CHECKING:
    from api.runs import Wanted
    from cli.cluster import Cluster
    from schemas.catalogue import WorkflowType
    from schemas.contract import Contract, WorkflowInput
    from schemas.principals import Act, Principal

app = typer.Typer(no_args_is_help=True, help="Serve the HTTP API, and make keys for it.")
keys = typer.Typer(no_args_is_help=True, help="Keys that programs call the API with.")
app.add_typer(keys, name="keys")


@app.command()
def run() -> None:
    """Serve until SIGTERM or Ctrl-C, as `api` of the settings says."""
    from api.api_process import run as serve  # noqa: PLC0415  FastAPI loads only when it serves
    from cli.cluster import Cluster  # noqa: PLC0415
    from clients.settings import load  # noqa: PLC0415  with the settings' reader

    serve(load(), lambda wiring, signing_key: ClusterRuns(Cluster(wiring.settings, wiring), signing_key))


@keys.command("new")
def new(
    days: Annotated[int, typer.Option(min=1, max=366, help="It is refused after so many days.")] = 90,
    output: Output = Format.TEXT,
) -> None:
    """Make an API key. It is shown once; the policy file gets its hash only."""
    from clients.identities.api_keys import new_key  # noqa: PLC0415  the help does without it

    expires = datetime.now(UTC) + timedelta(days=days)
    key, digest = new_key(expires)
    record({"key": key, "sha256": digest, "expires": f"{expires:%Y-%m-%d %H:%M:%S}Z"}, output)
    say(
        "Keep the key where its program reads it: it is not shown again. Add sha256 to `api_keys` of its principal."
    )


class ClusterRuns:
    """The port `api.runs.Runs`, by the functions of the commands."""

    def __init__(self, cluster: "Cluster", signing_key: str) -> None:
        from cli.signing import Chosen  # noqa: PLC0415

        self._cluster = cluster
        self._chosen = Chosen(key=signing_key)

    async def start(self, kind: "WorkflowType", given: "WorkflowInput", who: "Principal") -> dict[str, str]:
        from cli.runs import begin  # noqa: PLC0415
        from cli.signing import Signing  # noqa: PLC0415

        return await begin(self._cluster, kind, given, Signing(who, self._chosen))

    async def listed(self, wanted: "Wanted") -> list[dict[str, Any]]:
        from cli.listing import Filter, listed  # noqa: PLC0415

        narrowed = Filter(wanted.kind, wanted.phase, wanted.subject, wanted.running)
        return await listed(self._cluster, narrowed, wanted.limit)

    async def look(self, workflow_id: str) -> dict[str, Any]:
        from cli.following import look  # noqa: PLC0415

        return (await look(self._cluster, workflow_id)).row()

    async def update(
        self, workflow_id: str, act: "Act", given: "Contract", who: "Principal"
    ) -> dict[str, Any]:
        from cli.runs import update  # noqa: PLC0415
        from cli.signing import Signing  # noqa: PLC0415

        return await update(self._cluster, workflow_id, act, given, Signing(who, self._chosen))

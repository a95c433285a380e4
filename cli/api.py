"""`redoubt api`: the HTTP API as a process, and the keys that programs call it with."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import Format, Output, record, say
from schemas.errors import InvalidSettings, NotAuthorized
from schemas.listeners import Listener

if TYPE_CHECKING:
    from api.guard import Guard
    from api.runs import Wanted
    from cli.cluster import Cluster
    from schemas.catalogue import WorkflowType
    from schemas.contract import Contract, WorkflowInput
    from schemas.principals import Act, Principal
    from workers.wiring import Wiring

app = typer.Typer(no_args_is_help=True, help="Serve the HTTP API, and make keys for it.")
keys = typer.Typer(no_args_is_help=True, help="Keys that programs call the API with.")
app.add_typer(keys, name="keys")


@app.command()
def run() -> None:
    """Serve until SIGTERM or Ctrl-C, as `api` of the settings says."""
    from api.serve import serve  # noqa: PLC0415  FastAPI loads only when it serves
    from clients.settings import load  # noqa: PLC0415  with the settings' reader
    from clients.telemetry import configure_logging  # noqa: PLC0415
    from clients.tls import groups  # noqa: PLC0415
    from workers.wiring import Wiring  # noqa: PLC0415

    settings = load()
    logs = configure_logging(settings.telemetry, service="api")
    try:
        groups.narrow()
        wiring, given = Wiring(settings, service="api"), settings.api
        serve(
            build(wiring),
            Listener.API,
            given.host,
            given.port,
            tls=given.tls,
            metrics_port=given.metrics_port,
        )
    finally:
        logs.stop()


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


def build(wiring: "Wiring") -> "Guard":
    """The application. Raises what stands in the way of serving: no policy, no key, or one that may not vouch."""
    from api.app import create_app  # noqa: PLC0415
    from api.authentication import Door  # noqa: PLC0415
    from cli.cluster import Cluster  # noqa: PLC0415
    from workers.health import Readiness  # noqa: PLC0415

    wiring.check_schema()
    reference = _signing_key(wiring)
    door = Door(wiring.policies().current, wiring.authority().authenticators(), wiring.journal().note)
    readiness = Readiness({"records": partial(asyncio.to_thread, wiring.check_records)})
    return create_app(door, ClusterRuns(Cluster(wiring.settings), reference), readiness.found)


def _signing_key(wiring: "Wiring") -> str:
    """The reference to the key that vouches; the policy lets its owner do so."""
    from cli.signing import Chosen, signer_of  # noqa: PLC0415
    from rules.requests import fingerprint_of, key_of  # noqa: PLC0415

    held = wiring.policies().current()
    if held is None:
        raise NotAuthorized(
            "The API needs a policy, and the settings name none. Write one, apply it with `redoubt policy apply`, "
            "and set policy.root_sha256."
        )
    reference = wiring.settings.api.signing_key
    if reference is None:
        raise InvalidSettings(
            "The API needs api.signing_key: the Ed25519 key by which it vouches for who asked."
        )
    found = key_of(held.policy, fingerprint_of(signer_of(wiring, Chosen(key=reference)).key))
    if found is None or not held.policy.principals[found[0]].vouches_for:
        raise NotAuthorized(
            "The policy names no principal with `vouches_for` whose key is that of api.signing_key."
        )
    return reference


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

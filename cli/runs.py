"""`redoubt start|list|status|watch|pause|resume|abort|end-grace`: runs, as people start, look at and steer them."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from temporalio.client import WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from cli.cluster import PATIENCE, Cluster, kind_of, on_cluster, speaking
from cli.failures import adopt
from cli.following import Seen, follow, look
from cli.listing import Filter, listed
from cli.output import ExitCode, Format, Output, lines, record, say, table
from cli.signing import As, Chosen, Fido2, Key, Signing, Token, signer_of, who_signs
from cli.types import read_input
from clients.identities.requesting import signed_request
from clients.temporal.requests import presenting
from rules.inputs import faults, named
from rules.requests import Facing, input_digest
from schemas.catalogue import WorkflowType
from schemas.certificates import CertificateRenewalInput
from schemas.contract import Contract, WorkflowInput
from schemas.errors import (
    AlreadyRunning,
    DependencyUnavailable,
    InvalidInput,
    NotApproved,
    NotAuthorized,
    NotNow,
    VoteRefused,
)
from schemas.principals import Act, SignedRequest
from schemas.runs import Steer
from workflows.failures import code_of, detail_of

_COLUMNS: Final = ("workflow_id", "state", "phase", "subject", "started", "closed")

_REFUSALS: Final = {kind.code: kind for kind in (NotAuthorized, VoteRefused, NotApproved, InvalidInput)}
"""Why a run may refuse what it was told, beside the phase that it is in."""

WorkflowId = Annotated[str, typer.Argument(metavar="ID", help="Workflow ID, as `redoubt list` shows it.")]
RunId = Annotated[str | None, typer.Option("--run-id", help="One run of this ID; the newest without.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept in the history.")]


def start(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="Workflow type; `redoubt schema` lists them.")],
    given: Annotated[str, typer.Option("--input", metavar="FILE|-", help="JSON or YAML; - for stdin.")],
    correlation_id: Annotated[str, typer.Option(help="Yours, kept through logs, spans and lists.")] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it ends.")] = False,
    as_: As = "",
    key: Key = "",
    token: Token = "",
    fido2: Fido2 = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Start nothing: only rehearse this renewal's order.")
    ] = False,
    output: Output = Format.TEXT,
) -> None:
    """Start a workflow; prints its IDs and its page in the Web UI."""
    if correlation_id:
        adopt(correlation_id)
    found = named(kind)
    value = read_input(found, given)
    if rehearse:
        _rehearse(value)
        return

    async def talk(cluster: Cluster) -> ExitCode:
        signing = who_signs(cluster.settings, as_, Chosen(key, token, fido2))
        started = await begin(cluster, found, value, signing)
        record(started, output)
        return (
            await _watch(cluster, started["workflow_id"], started["run_id"], output) if wait else ExitCode.OK
        )

    _leave(on_cluster(talk))


def _rehearse(given: WorkflowInput) -> None:
    from cli import rehearsal  # noqa: PLC0415  # X.509 loads where a request is made

    if not isinstance(given, CertificateRenewalInput):
        raise InvalidInput("Only a CertificateRenewal can be rehearsed: leave out --rehearse.")
    rehearsal.rehearse(given.certificate)


async def begin(
    cluster: Cluster, kind: WorkflowType, value: WorkflowInput, signing: Signing | None
) -> dict[str, str]:
    client, workflow_id = await cluster.client(kind.capability), kind.workflow_id(value)
    facing = Facing(
        installation=cluster.settings.installation,
        namespace=client.namespace,
        act=Act.START,
        workflow_type=kind.name,
        workflow_id=workflow_id,
        input_sha256=input_digest(value),
    )
    request = None if signing is None else await _requested(cluster, signing, facing)
    try:
        with speaking(f"Temporal at {cluster.settings.temporal.address}"), presenting(request):
            handle = await client.start_workflow(
                kind.name,
                value,
                id=workflow_id,
                task_queue=kind.capability,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                static_summary=f"{kind.name}: {value.subject}",
                static_details=kind.summary,
                rpc_timeout=PATIENCE,
            )
    except WorkflowAlreadyStartedError as running:
        link = cluster.link(client, workflow_id, running.run_id)
        raise AlreadyRunning(f"{workflow_id} is running already: {link} .") from None
    run_id = handle.result_run_id or ""
    return {"workflow_id": workflow_id, "run_id": run_id, "link": cluster.link(client, workflow_id, run_id)}


def list_runs(  # noqa: PLR0913, PLR0917  # each is an option of the command line
    kind: Annotated[str, typer.Option("--type", help="Workflow type.")] = "",
    phase: Annotated[str, typer.Option(help="Phase, as `status` shows it.")] = "",
    subject: Annotated[str, typer.Option(help="What it works on: a certificate's name.")] = "",
    running: Annotated[bool, typer.Option("--running", help="Only runs that have not ended.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    output: Output = Format.TEXT,
) -> None:
    """List runs, newest first."""
    wanted = Filter(named(kind).name if kind else "", phase, subject, running)

    async def talk(cluster: Cluster) -> list[dict[str, Any]]:
        return await listed(cluster, wanted, limit)

    table(on_cluster(talk), _COLUMNS, output, empty="There is no such run.")


def status(workflow_id: WorkflowId, run_id: RunId = None, output: Output = Format.TEXT) -> None:
    """Show one run: phase, progress, what it waits for, or how it ended."""

    async def talk(cluster: Cluster) -> Seen:
        return await look(cluster, workflow_id, run_id)

    seen = on_cluster(talk)
    _show(seen, output)
    if not seen.answered:
        say("No worker answers for this run: `redoubt workers list` shows which pool it waits for.")
        _leave(ExitCode.SKIPPED)


def watch(workflow_id: WorkflowId, run_id: RunId = None, output: Output = Format.TEXT) -> None:
    """Follow one run until it ends; the exit code says how it ended."""

    async def talk(cluster: Cluster) -> ExitCode:
        return await _watch(cluster, workflow_id, run_id, output)

    _leave(on_cluster(talk))


async def _watch(cluster: Cluster, workflow_id: str, run_id: str | None, output: Format) -> ExitCode:
    seen = None
    async for seen in follow(cluster, workflow_id, run_id):
        if output is Format.JSONL:
            lines([seen.row()])
        elif seen.open:
            say(_in_a_line(seen))
    if seen is None:
        return ExitCode.FAILED
    if output is not Format.JSONL:
        _show(seen, output)
    return seen.exit_code


def _telling(act: Act, does: str) -> Callable[..., None]:
    """A command that tells a run something; `does` is its help."""

    def command(  # noqa: PLR0913, PLR0917  # each is an option of the command line
        workflow_id: WorkflowId,
        reason: Reason,
        as_: As = "",
        key: Key = "",
        token: Token = "",
        fido2: Fido2 = None,
        output: Output = Format.TEXT,
    ) -> None:
        _steer(act, workflow_id, reason, (as_, Chosen(key, token, fido2)), output)

    command.__doc__ = does
    return command


pause = _telling(Act.PAUSE, "Hold a run before its next step.")
resume = _telling(Act.RESUME, "Let a paused run go on.")
abort = _telling(Act.ABORT, "Stop a run; what it has switched is put back.")
end_grace = _telling(
    Act.END_GRACE,
    "Let a renewal end without its grace, or without the rest of it; nothing that it replaced is retired.",
)


def _steer(act: Act, workflow_id: str, reason: str, by: tuple[str, Chosen], output: Format) -> None:
    try:
        steer = Steer(reason=reason)
    except ValidationError as refused:
        raise typer.BadParameter(faults(refused, "reason"), param_hint="--reason") from None

    async def talk(cluster: Cluster) -> dict[str, Any]:
        signing = who_signs(cluster.settings, *by)
        return await update(cluster, workflow_id, act, steer, signing)

    record({"workflow_id": workflow_id, **on_cluster(talk)}, output)


async def _requested(cluster: Cluster, signing: Signing, facing: Facing) -> SignedRequest:
    """The key may lie behind a token or in Vault: the API serves others meanwhile."""

    def made() -> SignedRequest:
        return signed_request(signer_of(cluster.wiring, signing.chosen), signing.who, facing)

    # The owner of a FIDO2 key is asked at this terminal, where Ctrl-C must reach.
    return made() if signing.chosen.fido2 else await asyncio.to_thread(made)


async def update(
    cluster: Cluster, workflow_id: str, act: Act, given: Contract, signing: Signing | None
) -> dict[str, Any]:
    """Tell an open run; what it answers.

    Raises `NotNow`, `NotAuthorized`, `VoteRefused`, `DependencyUnavailable`.
    """
    run_id = None if signing is None else await _run_of(cluster, workflow_id)
    handle, kind = await cluster.handle(workflow_id, run_id), kind_of(workflow_id)
    facing = Facing(
        installation=cluster.settings.installation,
        namespace=cluster.settings.temporal.namespace_of(kind.capability if kind else ""),
        act=act,
        workflow_type=kind.name if kind else "",
        workflow_id=workflow_id,
        input_sha256=input_digest(given),
        run_id=run_id or "",
    )
    request = None if signing is None else await _requested(cluster, signing, facing)
    try:
        with speaking(f"An open run {workflow_id}"), presenting(request):
            answer: dict[str, Any] = await handle.execute_update(
                act.value, given, result_type=dict, rpc_timeout=PATIENCE
            )
    except WorkflowUpdateFailedError as refused:
        kind_of_refusal = _REFUSALS.get(code_of(refused.cause), NotNow)
        raise kind_of_refusal(detail_of(refused.cause)) from None
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise DependencyUnavailable(f"No worker answered for {workflow_id} in time.") from None
    return answer


async def _run_of(cluster: Cluster, workflow_id: str) -> str:
    """The run that is under way: a signed word is for it, and for no later one of the same ID."""
    handle = await cluster.handle(workflow_id)
    with speaking(f"A run {workflow_id}"):
        return (await handle.describe(rpc_timeout=PATIENCE)).run_id


def _show(seen: Seen, output: Format) -> None:
    """Everything for programs; for people what is there, with the targets as a table and the error in words."""
    row = seen.row()
    if output is not Format.TEXT:
        record(row, output)
        return
    error = seen.error and f"{seen.error['code']}: {seen.error['detail']}"
    shown = {
        name: value for name, value in row.items() if value and name not in {"table", "answered", "error"}
    }
    record({**shown, **({"error": error} if error else {})}, output)
    if seen.table:
        table(seen.table, tuple(dict.fromkeys(name for one in seen.table for name in one)), output)


def _in_a_line(seen: Seen) -> str:
    parts = (
        seen.phase + (" (paused)" if seen.paused else ""),
        seen.progress,
        seen.waits_for and f"waits for {seen.waits_for}",
        seen.who_can_act and f"can act: {seen.who_can_act}",
        "" if seen.answered else "no worker answers",
    )
    return ", ".join(part for part in parts if part) or seen.state.lower()


def _leave(code: ExitCode) -> None:
    if code is not ExitCode.OK:
        raise typer.Exit(code)

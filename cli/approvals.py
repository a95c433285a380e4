"""`redoubt approve|reject`, and `redoubt approvals list|key|enroll`: what waits for people, and their signed word.

A vote is about what its approver has seen: the command shows the request, computes the digest of just that, asks, and
signs. What the run says of itself (its digest, its count) decides nothing here.
"""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from temporalio.client import (
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)

from cli.cluster import Cluster, kind_of, on_cluster, speaking
from cli.listing import Filter, listed
from cli.output import Format, Output, put, record, say, table
from cli.signing import As, Chosen, Fido2, Key, Token, Yes, prompts, public_of, signer_of
from clients.secrets.files import store_file
from clients.settings import load
from clients.signers import Signer
from clients.signers.fido2 import enroll, plugged_in
from rules.approvals import digest, refusal, statement
from rules.requests import fingerprint_of
from schemas.approvals import Approval, ApprovalRequest, Tally, Verdict, Vote
from schemas.errors import DependencyUnavailable, InvalidInput, NotNow, VoteRefused
from schemas.principals import UNKNOWN_NAME, Principal
from schemas.signing_keys import SigningKey
from workers.wiring import Wiring
from workflows.failures import code_of, detail_of

app = typer.Typer(no_args_is_help=True, help="What waits for approval, and the keys that approve.")

_COLUMNS: Final = ("workflow_id", "approved_by", "needed", "may_act", "asked_by", "expires", "digest")
_MOST: Final = 100
"""Runs that `list` asks."""
_PATIENCE: Final = timedelta(seconds=60)
"""A vote is verified and recorded before it is answered."""

WorkflowId = Annotated[
    str, typer.Argument(metavar="ID", help="Workflow ID, as `redoubt approvals list` shows it.")
]


@app.command("list")
def list_approvals(output: Output = Format.TEXT) -> None:
    """List what waits for approval, for whom, and until when."""

    async def talk(cluster: Cluster) -> list[dict[str, Any]]:
        waiting = await listed(cluster, Filter(phase="approval", running=True), _MOST)
        found = [(one["workflow_id"], await _asked(cluster, one["workflow_id"])) for one in waiting]
        return [_row(workflow_id, asked) for workflow_id, asked in found if asked is not None]

    table(on_cluster(talk), _COLUMNS, output, empty="Nothing waits for approval.")


def _voting(verdict: Verdict, does: str) -> Callable[..., None]:
    """A command that votes; `does` is its help."""

    def command(  # noqa: PLR0913, PLR0917  # each is an option of the command line
        workflow_id: WorkflowId,
        as_: As,
        key: Key = "",
        token: Token = "",
        fido2: Fido2 = None,
        yes: Yes = False,
        output: Output = Format.TEXT,
    ) -> None:
        _vote(verdict, workflow_id, as_, Chosen(key, token, fido2), yes=yes, output=output)

    command.__doc__ = does
    return command


approve = _voting(Verdict.APPROVE, "Approve what a run is going to do, after you have read it.")
reject = _voting(Verdict.REJECT, "Reject what a run is going to do: it ends, and nothing was begun.")


@app.command("key")
def show_key(
    name: Annotated[str, typer.Option("--key-id", help="What the policy is to call it.")],
    key: Key = "",
    token: Token = "",
    fido2: Fido2 = None,
    output: Output = Format.TEXT,
) -> None:
    """Print a key's public half as the policy file takes it."""
    line = public_of(Wiring(load()), Chosen(key, token, fido2))
    _print(line.model_copy(update={"id": name}), output)


@app.command("enroll")
def enroll_key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Is written; nothing in it is secret.")],
    as_: As,
    name: Annotated[str, typer.Option("--key-id", help="What the policy is to call it.")],
    relying_party: Annotated[
        str, typer.Option("--relying-party", help="A DNS name of this installation, the same for everybody.")
    ],
    output: Output = Format.TEXT,
) -> None:
    """Make a credential in the FIDO2 key that is plugged in, and print the policy's line."""
    made = enroll(name, as_, relying_party, plugged_in(), prompts())
    try:
        store_file(file, made.model_dump_json(indent=2).encode() + b"\n")
    except FileExistsError:
        raise InvalidInput(f"{file} is there already, and is not written over.") from None
    _print(made.key, output)


def _print(line: SigningKey, output: Format) -> None:
    """As it goes into the policy, below `signing_keys`."""
    shown = line.model_dump(mode="json", exclude_defaults=True)
    if output is not Format.TEXT:
        record(shown, output)
        return
    import yaml  # noqa: PLC0415  # only a line for the policy is written

    put(yaml.safe_dump([shown], sort_keys=False, width=10_000).rstrip())


def _vote(  # noqa: PLR0913  # a vote is all of these
    verdict: Verdict,
    workflow_id: str,
    name: str,
    chosen: Chosen,
    *,
    yes: bool,
    output: Format,
) -> None:
    async def talk(cluster: Cluster) -> dict[str, Any]:
        asked = await _asked(cluster, workflow_id)
        if asked is None:
            raise NotNow(f"{workflow_id} waits for nobody's approval.")
        _refuse_anothers(cluster, workflow_id, asked.request)
        for line in words(asked):
            say(line)
        if not yes:
            typer.confirm(f"{verdict.capitalize()} this as {name}?", abort=True, err=True)
        vote = _signed(signer_of(cluster.wiring, chosen), asked, name, verdict)
        tally = await _sent(cluster, workflow_id, vote)
        return {"workflow_id": workflow_id, "digest": vote.request, **tally.model_dump(mode="json")}

    record(on_cluster(talk), output)


async def _asked(cluster: Cluster, workflow_id: str) -> Approval | None:
    handle = await cluster.handle(workflow_id)
    try:
        with speaking(f"A run {workflow_id}"):
            given = await handle.query("approval", result_type=dict[str, Any], rpc_timeout=_PATIENCE)
    except WorkflowQueryFailedError:
        return None  # a type that never asks
    return Approval.model_validate(given) if given else None


def _refuse_anothers(cluster: Cluster, workflow_id: str, request: ApprovalRequest) -> None:
    """A run can show anything: what belongs elsewhere is not even asked about."""
    kind = kind_of(workflow_id)
    namespace = cluster.settings.temporal.namespace_of(kind.capability if kind else "")
    own = (cluster.settings.installation, namespace, workflow_id)
    if (request.installation, request.namespace, request.workflow_id) != own:
        raise VoteRefused(f"{workflow_id} shows the request of another run, namespace or installation.")


def words(asked: Approval) -> Iterator[str]:
    """Everything that the digest binds, a line each; nothing in it makes a line of its own, or turns one."""
    return map(_on_one_line, _told(asked))


def _told(asked: Approval) -> Iterator[str]:
    request, tally = asked.request, asked.tally
    known = _named(request.requester)
    if request.on_behalf_of is not None:
        known = f"{known}, for {_named(request.on_behalf_of)}"
    yield f"What       {request.workflow_type} of {request.subject}, under {request.workflow_id}"
    yield f"Where      installation {request.installation}, namespace {request.namespace}"
    yield f"Asked by   {known}, at {request.asked_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"Until      {request.expires:%Y-%m-%d %H:%M:%S} UTC"
    yield f"Needs      {tally.needed} approvals; so far: {', '.join(tally.approved_by) or 'none'}"
    yield f"Policy     version {request.policy_version}"
    yield f"Operation  {request.operation}"
    yield "Plan"
    for name, value in request.plan.items():
        if value not in (None, "", [], {}):
            yield f"  {name.replace('_', ' '):<18} {_plain(value)}"
    yield f"Digest     {digest(request)}"


def _named(asker: Principal) -> str:
    return "somebody unknown" if asker.name == UNKNOWN_NAME else f"{asker.name} ({asker.shown})"


def _on_one_line(line: str) -> str:
    """What can't be seen, or would turn the text round, is spelt out."""
    return "".join(sign if sign.isprintable() else f"\\u{{{ord(sign):x}}}" for sign in line)


def _plain(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ", ".join(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _signed(signer: Signer, asked: Approval, name: str, verdict: Verdict) -> Vote:
    now = datetime.now(UTC)
    try:
        unsigned = Vote(
            request=digest(asked.request),
            verdict=verdict,
            approver=name,
            key_id=fingerprint_of(signer.key),
            at=now,
            signature="AAAA",
        )
    except ValidationError:
        raise InvalidInput("--as is a name as the policy file has it.") from None
    if why := refusal(asked.request, asked.tally, unsigned, now):
        raise VoteRefused(f"Nothing was signed: {why}.")
    signature = base64.b64encode(signer.sign(statement(unsigned))).decode()
    return unsigned.model_copy(update={"signature": signature})


async def _sent(cluster: Cluster, workflow_id: str, vote: Vote) -> Tally:
    handle = await cluster.handle(workflow_id)
    try:
        with speaking(f"An open run {workflow_id}"):
            tally: Tally = await handle.execute_update(
                vote.verdict.value, vote, result_type=Tally, rpc_timeout=_PATIENCE
            )
    except WorkflowUpdateFailedError as refused:
        kind = NotNow if code_of(refused.cause) == NotNow.code else VoteRefused
        raise kind(detail_of(refused.cause)) from None
    except WorkflowUpdateRPCTimeoutOrCancelledError:
        raise DependencyUnavailable(
            f"No worker answered for {workflow_id} in time; the vote may be sent again: it counts once."
        ) from None
    return tally


def _row(workflow_id: str, asked: Approval) -> dict[str, Any]:
    request, tally = asked.request, asked.tally
    return {
        "workflow_id": workflow_id,
        "subject": request.subject,
        "approved_by": tally.approved_by,
        "needed": tally.needed,
        "may_act": tally.may_act,
        "asked_by": (request.on_behalf_of or request.requester).name,
        "expires": f"{request.expires:%Y-%m-%d %H:%M:%S}Z",
        "escalates": f"{tally.escalates:%Y-%m-%d %H:%M:%S}Z" if tally.escalates else "",
        "digest": digest(request),
    }

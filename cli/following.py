"""What a run is doing, and how it ended: asked of the server, and of a worker while the run is open.

A closed run is never queried (that needs a worker, and the history may be gone tomorrow): its end is in the
history, its last phase in the search attributes. An open run without a worker is told as such, not waited for.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from typing import Any

from temporalio.client import (
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.service import RPCError, RPCStatusCode

from cli.cluster import AWAY, PATIENCE, Cluster, speaking
from cli.failures import exit_code
from cli.held_up import held_up
from cli.output import ExitCode
from schemas.errors import CATALOGUE
from schemas.runs import RunStatus
from workflows.failures import code_of, words_of

_EVERY_S = 1.0


@dataclass(frozen=True)
class Seen:
    workflow_id: str
    run_id: str
    type: str
    state: str
    """As Temporal names it: RUNNING, COMPLETED, FAILED, …"""
    phase: str
    started: str
    closed: str
    link: str
    correlation_id: str = ""
    progress: str = ""
    waits_for: str = ""
    held_up: tuple[str, ...] = ()
    """Why steps of the open run are tried again, as their last attempts said it."""
    who_can_act: str = ""
    paused: bool = False
    table: tuple[dict[str, str], ...] = ()
    answered: bool = True
    """Whether a worker told about the open run; else only what the server knows stands here."""
    result: Any = None
    error: dict[str, str] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return self.state == "RUNNING"

    @property
    def exit_code(self) -> ExitCode:
        """How it ended; an open run is no failure."""
        if self.open or self.state == "COMPLETED":
            return ExitCode.OK
        return exit_code(self.error["code"]) if self.error.get("code") in CATALOGUE else ExitCode.FAILED

    def row(self) -> dict[str, Any]:
        return asdict(self)


async def look(cluster: Cluster, workflow_id: str, run_id: str | None = None) -> Seen:
    """Raises `UnknownSubject` if there is no such run."""
    handle = await cluster.handle(workflow_id, run_id)
    with speaking(f"The run {workflow_id}"):
        described = await handle.describe(rpc_timeout=PATIENCE)
        pinned = await cluster.handle(workflow_id, described.run_id)
        told = await _told(pinned, described)
    client = await cluster.client(described.task_queue)
    link = cluster.link(client, workflow_id, described.run_id)
    held = await held_up(client, described)
    return Seen(**{**_facts(described), **told, "link": link, "held_up": held})


async def follow(cluster: Cluster, workflow_id: str, run_id: str | None = None) -> AsyncIterator[Seen]:
    """What is seen each time that it changes, until the run has ended; a server that is away is waited for."""
    last = None
    while True:
        seen = await _patiently(cluster, workflow_id, run_id)
        if seen != last:
            yield seen
        if not seen.open and seen.state != "CONTINUED_AS_NEW":
            return
        last, run_id = seen, (run_id if seen.open else None)
        await asyncio.sleep(_EVERY_S)


async def _patiently(cluster: Cluster, workflow_id: str, run_id: str | None, tries: int = 60) -> Seen:
    for left in range(tries, 0, -1):
        try:
            return await look(cluster, workflow_id, run_id)
        except Exception as error:
            cause = error.__cause__
            if left == 1 or not (isinstance(cause, RPCError) and cause.status in AWAY):
                raise
            await asyncio.sleep(2 * _EVERY_S)
    raise AssertionError("unreachable: the last try returns or raises")


def _facts(described: WorkflowExecutionDescription) -> dict[str, Any]:
    attributes = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    return {
        "workflow_id": described.id,
        "run_id": described.run_id,
        "type": described.workflow_type,
        "state": described.status.name if described.status else "UNKNOWN",
        "started": f"{described.start_time:%Y-%m-%d %H:%M:%S}Z",
        "closed": f"{described.close_time:%Y-%m-%d %H:%M:%S}Z" if described.close_time else "",
        "correlation_id": str(attributes.get("RedoubtCorrelationId", "")),
        "phase": str(attributes.get("RedoubtPhase", "")),
    }


async def _told(handle: WorkflowHandle[Any, Any], described: WorkflowExecutionDescription) -> dict[str, Any]:
    if described.status is WorkflowExecutionStatus.RUNNING:
        return await _asked(handle)
    if described.status is WorkflowExecutionStatus.CONTINUED_AS_NEW:
        return {}
    try:
        # Without a time it would wait for a server that has just gone.
        result = await handle.result(follow_runs=False, rpc_timeout=PATIENCE)
        return {"result": result.model_dump(mode="json") if hasattr(result, "model_dump") else result}
    except WorkflowFailureError as failed:
        return {"error": {"code": code_of(failed.cause), "detail": words_of(failed.cause)}}


async def _asked(handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
    try:
        status = await handle.query("status", result_type=RunStatus, rpc_timeout=PATIENCE)
    except RPCError as away:
        if away.status is RPCStatusCode.UNAVAILABLE:
            raise  # the server, and not the worker
        return {"answered": False}
    except (WorkflowQueryFailedError, WorkflowQueryRejectedError):
        return {"answered": False}
    told = status.model_dump(exclude={"done", "total"})
    return {**told, "progress": f"{status.done} of {status.total} steps" if status.total else ""}

"""What Temporal knows of a pool's task queue: who polls it now, and which version of its deployment is current."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio.api.enums.v1 import TaskQueueType, WorkerVersioningMode
from temporalio.api.taskqueue.v1 import PollerInfo, TaskQueue
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    SetWorkerDeploymentCurrentVersionRequest,
)
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from schemas.errors import DependencyUnavailable, UnknownSubject

_RPC: Final = timedelta(seconds=10)
_POLLS_FOR: Final = timedelta(seconds=70)
"""A poll is held open for a minute: who has not asked anew since then is gone."""

KINDS: Final = {
    "workflows": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activities": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}


@dataclass(frozen=True)
class Poller:
    identity: str
    last_poll: datetime
    version: str
    """`deployment:build ID`, empty for an unversioned worker."""


async def pollers(client: Client, queue: str) -> dict[str, list[Poller]]:
    """Who polls for workflows and for activities. Raises `DependencyUnavailable`."""
    found = {}
    for name, kind in KINDS.items():
        request = DescribeTaskQueueRequest(
            namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=kind
        )
        try:
            answer = await client.workflow_service.describe_task_queue(request, timeout=_RPC)
        except RPCError as away:
            raise DependencyUnavailable(f"Temporal did not describe {queue!r}: {away.status.name}.") from None
        found[name] = list(_polling(answer.pollers))
    return found


def _polling(answered: Iterable[PollerInfo]) -> Iterable[Poller]:
    for info in answered:
        last = info.last_access_time.ToDatetime(UTC)
        if datetime.now(UTC) - last < _POLLS_FOR:
            of = info.deployment_options
            versioned = of.worker_versioning_mode == WorkerVersioningMode.WORKER_VERSIONING_MODE_VERSIONED
            yield Poller(info.identity, last, f"{of.deployment_name}:{of.build_id}" if versioned else "")


async def promote(client: Client, deployment: str, build_id: str) -> str:
    """Make this build the one that new runs get; returns the build that was current before (or an empty text).

    Raises `UnknownSubject` while no worker of this build has polled: nothing would run.
    """
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=client.namespace,
        deployment_name=deployment,
        build_id=build_id,
        identity="redoubt workers promote",
    )
    try:
        answer = await client.workflow_service.set_worker_deployment_current_version(request, timeout=_RPC)
    except RPCError as refused:
        if refused.status in {RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION}:
            raise UnknownSubject(
                f"No worker of {deployment!r} with build {build_id!r} polls yet: start one, then promote it."
            ) from None
        raise DependencyUnavailable(f"Temporal did not promote it: {refused.status.name}.") from None
    return answer.previous_deployment_version.build_id

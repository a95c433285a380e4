"""The Temporal cluster as commands reach it: where a run lives, its page in the Web UI, its errors in our words."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar
from urllib.parse import quote

from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from cli import failures
from clients.settings import load
from clients.temporal.correlation import correlated
from schemas.catalogue import WORKFLOW_TYPES, WorkflowType
from schemas.errors import (
    DependencyUnavailable,
    InvalidInput,
    NotAllowed,
    RedoubtError,
    UnknownSubject,
)
from schemas.settings import Settings
from workers.wiring import Wiring

T = TypeVar("T")

PATIENCE: Final = timedelta(seconds=10)
"""How long a person waits for one answer of the cluster or of a worker."""

_KINDS: Final[dict[RPCStatusCode, type[RedoubtError]]] = {
    RPCStatusCode.NOT_FOUND: UnknownSubject,
    RPCStatusCode.PERMISSION_DENIED: NotAllowed,
    RPCStatusCode.UNAUTHENTICATED: NotAllowed,
    RPCStatusCode.INVALID_ARGUMENT: InvalidInput,
}
AWAY: Final[dict[RPCStatusCode, str]] = {
    RPCStatusCode.UNAVAILABLE: "can't be reached: the Temporal server is gone",
    # A server that dies while it answers.
    RPCStatusCode.UNKNOWN: "got half an answer: the Temporal server is gone",
    # How the SDK tells that its own time is over.
    RPCStatusCode.CANCELLED: "got no answer in time: is the Temporal server gone?",
    RPCStatusCode.DEADLINE_EXCEEDED: "got no answer in time: is the Temporal server gone?",
    RPCStatusCode.RESOURCE_EXHAUSTED: "can't be asked now: the Temporal server has too much to do",
}
"""What passes: trying again can help."""


class Cluster:
    """The connections of one command, one a namespace."""

    def __init__(self, settings: Settings, wiring: Wiring | None = None) -> None:
        self.settings = settings
        self.wiring = wiring or Wiring(settings)
        self._clients: dict[str, Client] = {}

    async def client(self, capability: str) -> Client:
        namespace = self.settings.temporal.namespace_of(capability)
        if namespace not in self._clients:
            with speaking(f"Temporal at {self.settings.temporal.address}"):
                self._clients[namespace] = await self.wiring.client(capability)
        return self._clients[namespace]

    async def clients(self) -> list[Client]:
        """One client for each namespace in which a capability lives."""
        for capability in dict.fromkeys(kind.capability for kind in WORKFLOW_TYPES.values()):
            await self.client(capability)
        return list(self._clients.values())

    async def handle(self, workflow_id: str, run_id: str | None = None) -> WorkflowHandle[Any, Any]:
        """Of a run that exists; the ID's first part tells its capability, and so its namespace."""
        kind = kind_of(workflow_id)
        client = await self.client(kind.capability if kind else "")
        return client.get_workflow_handle(
            workflow_id, run_id=run_id, result_type=kind.gives if kind else None
        )

    def link(self, client: Client, workflow_id: str, run_id: str | None) -> str:
        """The run's page in the Web UI."""
        base = f"{self.settings.temporal.web_ui.rstrip('/')}/namespaces/{client.namespace}/workflows"
        return "/".join([base, quote(workflow_id, safe=""), *([run_id, "history"] if run_id else [])])


def kind_of(workflow_id: str) -> WorkflowType | None:
    prefix = workflow_id.partition("/")[0]
    return next((kind for kind in WORKFLOW_TYPES.values() if kind.id_prefix == prefix), None)


def on_cluster(do: Callable[[Cluster], Awaitable[T]]) -> T:
    """Run one command's conversation with the cluster of the settings."""

    async def talk() -> T:
        settings = load()
        with correlated(failures.correlation_id), speaking(f"Temporal at {settings.temporal.address}"):
            return await do(Cluster(settings))

    return asyncio.run(talk())


@contextmanager
def speaking(about: str) -> Iterator[None]:
    """Turn what gRPC says into an error of the catalogue about this subject."""
    try:
        yield
    except RPCError as refused:
        kind = _KINDS.get(refused.status, DependencyUnavailable)
        words = AWAY.get(refused.status, f"is refused: {refused.status.name}")
        raise kind(f"{about} {'does not exist' if kind is UnknownSubject else words}.") from refused

"""A worker and clients of the platform's own workflows, with a key ring over a real software key store."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from clients.keystores.software import SoftwareKeyStore
from clients.secrets.resolver import Secrets
from clients.temporal.codec import RedoubtCodec
from clients.temporal.connect import connect
from clients.temporal.keyring import KeyRing, Ring
from clients.temporal.plugin import RedoubtPlugin
from clients.temporal.spans import Spans
from schemas.settings.temporal import TemporalSettings
from tests.conftest import DevServer
from tests.replay.platform import ACTIVITIES, WORKFLOWS, Errand
from workflows.unknown import UnknownWorkflow

PATIENCE_S = 30.0
T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]], what: str) -> T:
    """Ask until there is an answer: a condition is polled, no time is waited out."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := await look():
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"not in {PATIENCE_S:.0f} s: {what}")


class House:
    """One task queue, one key ring; `plain` is a client that knows nothing of us, like the Web UI."""

    def __init__(self, server: DevServer, folder: Path, *, scope: str = "redoubt") -> None:
        self._server = server
        self.queue = f"platform-{uuid.uuid4()}"
        keys = folder / "codec"
        keys.mkdir(mode=0o700, exist_ok=True)
        self.store = SoftwareKeyStore("codec", keys, b"m" * 32)
        self.ring = KeyRing(self.store, scope)
        if not self.ring.versions():
            self.ring.rotate()

    async def client(self, ring: Ring | None = None, spans: Spans | None = None) -> Client:
        settings = TemporalSettings(address=self._server.address, namespace=self._server.namespace)
        plugin = RedoubtPlugin(RedoubtCodec(ring or self.ring), spans=spans)
        return await connect(settings, settings.namespace, Secrets(), plugin)

    async def plain(self) -> Client:
        return await Client.connect(self._server.address, namespace=self._server.namespace)

    @asynccontextmanager
    async def worker(self, client: Client, workflows: Sequence[type] = WORKFLOWS) -> AsyncIterator[Worker]:
        with ThreadPoolExecutor(4) as threads:
            worker = Worker(
                client,
                task_queue=self.queue,
                workflows=[*workflows, UnknownWorkflow],
                activities=ACTIVITIES,
                activity_executor=threads,
            )
            async with worker:
                yield worker

    async def start(self, client: Client, kind: str, *args: Any) -> WorkflowHandle[Any, Any]:
        """`args` may be `Payload`s, which then go as they are."""
        sent = [RawValue(arg) if isinstance(arg, Payload) else arg for arg in args]
        return await client.start_workflow(
            kind, args=sent, id=f"{kind}/{uuid.uuid4()}", task_queue=self.queue, result_type=None
        )


def typed(text: str) -> Payload:
    """What the Web UI's form sends."""
    return Payload(metadata={"encoding": b"json/plain"}, data=text.encode())


def errand(**fields: Any) -> Errand:
    return Errand(**{"name": "a", **fields})


async def failure_of(handle: WorkflowHandle[Any, Any]) -> ApplicationError:
    """The run's own error; fails if it does not fail."""
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError), failed.value.cause
    return failed.value.cause


async def events_of(handle: WorkflowHandle[Any, Any]) -> list[HistoryEvent]:
    return list((await handle.fetch_history()).events)


def payloads_in(message: Message) -> Iterator[Payload]:
    """Every payload anywhere in a message, once each."""
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = [one for one in value.values() if isinstance(one, Message)]
        else:
            inner = [value] if isinstance(value, Message) else list(value)
        for one in inner:
            yield from payloads_in(one)

"""The three that are compared: the bare SDK, our plugin without its interceptors, and our plugin as it is.

Each has a client, a worker and a task queue of its own on the same server, all in this process: what our code costs
on either side counts, and the server's share is the same for all.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from temporalio.api.common.v1 import Payload
from temporalio.client import Client, Plugin, WorkflowFailureError
from temporalio.converter import PayloadCodec
from temporalio.service import RPCError
from temporalio.worker import Worker

from benchmarks import workload_bare, workload_ours
from benchmarks.processes import cpu_seconds
from benchmarks.samples import Samples
from cli.dev.servers import TemporalServer
from clients.keystores.software import SoftwareKeyStore
from clients.temporal.codec import RedoubtCodec
from clients.temporal.keyring import KeyRing
from clients.temporal.plugin import RedoubtPlugin
from schemas.certificates import CertificateRenewalInput

AT_ONCE: Final = 16
CONTRACT: Final = CertificateRenewalInput(certificate="www", force=True, reason="a reason of sixteen " * 25)
"""About half a kilobyte; the bare SDK gets the same as a dict."""


class TimedCodec(PayloadCodec):
    """A codec, and how long it has worked: it never waits, so from call to return the time is its own."""

    def __init__(self, codec: PayloadCodec) -> None:
        self._codec = codec
        self.seconds = 0.0
        self.payloads = 0

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        began = time.perf_counter()
        done = await self._codec.encode(payloads)
        self._count(began, len(payloads))
        return done

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        began = time.perf_counter()
        done = await self._codec.decode(payloads)
        self._count(began, len(payloads))
        return done

    def _count(self, began: float, payloads: int) -> None:
        self.seconds += time.perf_counter() - began
        self.payloads += payloads


class _Uncorrelated(RedoubtPlugin):
    def __init__(self, codec: PayloadCodec) -> None:
        super().__init__(codec)
        self.interceptors = []


@dataclass(frozen=True)
class Batch:
    """So many runs of one variant, a few at once."""

    samples: Samples
    cpu_s: float
    """Of this process: client, worker and SDK core."""
    server_cpu_s: float
    codec_s: float
    payloads: int


@dataclass
class Variant:
    name: str
    client: Client
    codec: TimedCodec
    given: object
    server_pid: int

    async def run(self, size: int) -> Batch:
        places, done = asyncio.Semaphore(AT_ONCE), Samples()
        codec_s, payloads = self.codec.seconds, self.codec.payloads
        cpu, server_cpu = time.process_time(), cpu_seconds(self.server_pid)
        began = time.perf_counter()
        await asyncio.gather(*(self._one(places, done) for _ in range(size)))
        done.elapsed = time.perf_counter() - began
        return Batch(
            done,
            time.process_time() - cpu,
            cpu_seconds(self.server_pid) - server_cpu,
            self.codec.seconds - codec_s,
            self.codec.payloads - payloads,
        )

    async def _one(self, places: asyncio.Semaphore, done: Samples) -> None:
        async with places:
            began = time.perf_counter()
            try:
                handle = await self.client.start_workflow(
                    "OneStep",
                    self.given,
                    id=f"{self.name}-{secrets.token_hex(8)}",
                    task_queue=self.name,
                )
                await handle.result()
            except (WorkflowFailureError, RPCError):
                done.errors += 1
            else:
                done.seconds.append(time.perf_counter() - began)


@asynccontextmanager
async def variants(server: TemporalServer, folder: Path) -> AsyncIterator[dict[str, Variant]]:
    """Their workers poll until the block ends."""
    ring = KeyRing(SoftwareKeyStore("codec", folder / "keys", secrets.token_bytes(32)), "benchmark")
    ring.rotate()
    plugins: dict[str, type[RedoubtPlugin] | None] = {
        "bare": None,
        "uncorrelated": _Uncorrelated,
        "ours": RedoubtPlugin,
    }
    async with AsyncExitStack() as open_workers:
        made = {}
        for name, plugin in plugins.items():
            codec = TimedCodec(RedoubtCodec(ring))
            given: list[Plugin] = [plugin(codec)] if plugin else []
            client = await Client.connect(server.address, plugins=given)
            work = workload_ours if plugin else workload_bare
            worker = Worker(client, task_queue=name, workflows=[work.OneStep], activities=[work.look_at])
            await open_workers.enter_async_context(worker)
            made[name] = Variant(
                name, client, codec, CONTRACT if plugin else CONTRACT.model_dump(), server.child.pid
            )
        yield made

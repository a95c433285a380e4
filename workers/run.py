"""One process that runs pools: it starts, works, drains, and never lingers half-alive.

- It starts only when `workers.startup` has found everything that its pools need; else it says what is missing.
- SIGTERM or SIGINT: no new task is taken, what runs may finish within the pool's `graceful_shutdown_s`, then the
  activities are cancelled, and the process ends with 0. A second signal ends it at once.
- When a pool's poller dies or one of its duties can't go on, the others drain, and the process ends with 1: a
  supervisor starts it anew. A Temporal server that is away is no such case: pollers try again for ever.
- A thread that can't be cancelled doesn't keep the process: it leaves without it, with 1.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from temporalio.worker import Worker

from clients.telemetry import Logs, configure_logging
from clients.temporal.open_runs import OpenRuns
from clients.tls import groups
from schemas.settings import Settings
from schemas.settings.processes import PoolSettings
from workers.building import Only, build_worker
from workers.health import Readiness
from workers.listening import distinct, open_health
from workers.pools import POOLS, Pool, load, named
from workers.readiness import checks_of
from workers.runtime import PoolMetrics, start_runtime
from workers.startup import check_startup
from workers.wiring import Wiring

_STARTED: Final = time.monotonic()
_MARGIN_S: Final = 10.0
"""After the grace: time for cancelled activities to report back."""

_EXIT_S: Final = 5.0
"""How long the interpreter may wait for threads that are left: a key store's check that hangs, say."""

_log = structlog.get_logger("workers.run")


@dataclass
class _Work:
    """What the process runs: one task a worker and a duty."""

    workers: dict[str, Worker] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    stop_duties: threading.Event = field(default_factory=threading.Event)

    def start(self, wiring: Wiring, pools: Sequence[Pool], only: Only | None) -> None:
        for name, worker in self.workers.items():
            self.tasks[name] = asyncio.create_task(worker.run(), name=name)
        for duty in (duty for pool in pools for duty in pool.duties if only is None):
            self.tasks[duty.name] = asyncio.create_task(
                asyncio.to_thread(load(duty.run), wiring, self.stop_duties), name=duty.name
            )

    def dead(self) -> list[str]:
        return [name for name, task in self.tasks.items() if task.done()]

    async def drain(self) -> None:
        self.stop_duties.set()
        await asyncio.gather(*(worker.shutdown() for worker in self.workers.values()))
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)


def main(
    settings: Settings, names: Sequence[str], only: Only | None = None, table: Mapping[str, Pool] = POOLS
) -> int:
    """`run`, as the last thing that a process does: a thread that hangs can't keep it either."""
    code = run(settings, names, only, table)
    late = threading.Timer(_EXIT_S, os._exit, (code,))
    late.daemon = True
    late.start()
    return code


def run(
    settings: Settings, names: Sequence[str], only: Only | None = None, table: Mapping[str, Pool] = POOLS
) -> int:
    """Run the named pools until a signal or a failure; returns the exit code."""
    pools = named(names, table)
    logs = configure_logging(settings.telemetry, service="worker-" + "-".join(names))
    try:
        return asyncio.run(_Process(settings, pools, only, logs).run())
    finally:
        logs.stop()


class _Process:
    def __init__(self, settings: Settings, pools: list[Pool], only: Only | None, logs: Logs) -> None:
        self._wiring = Wiring(settings, service="-".join(["worker", *(pool.name for pool in pools)]))
        self._pools = pools
        self._only = only
        self._logs = logs
        self._given = [settings.pools.get(pool.name, PoolSettings()) for pool in pools]
        self._asked_to_stop = asyncio.Event()
        self._work = _Work()

    async def run(self) -> int:
        try:
            return await self._run()
        finally:
            self._wiring.close()  # here, for leaving the loop waits for threads, which may hang

    async def _run(self) -> int:
        groups.narrow()
        await asyncio.to_thread(check_startup, self._wiring, self._pools)
        runtime = start_runtime(next((one.metrics_port for one in self._given if one.metrics_port), None))
        self._wiring.meter = runtime.metric_meter
        metrics = PoolMetrics(runtime, [pool.name for pool in self._pools], self._wiring.breakers())
        for pool in self._pools:
            if pool.on_temporal:
                client = await self._wiring.client(pool.name, runtime)
                self._wiring.runs[pool.name] = OpenRuns(client, asyncio.get_running_loop())
                self._work.workers[pool.name] = build_worker(client, pool, self._wiring, self._only)
        readiness = Readiness(checks_of(self._wiring, self._pools, self._work.workers, self._work.dead))
        health = [await open_health(one, readiness) for one in distinct(self._given)]
        self._listen()
        self._work.start(self._wiring, self._pools, self._only)
        metrics.started(time.monotonic() - _STARTED)
        _log.info("working", pools=[pool.name for pool in self._pools], only=self._only or "all")
        try:
            return await self._until_the_end(readiness, metrics)
        finally:
            for one in health:
                await one.stop()

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled, number)

    def _signalled(self, number: signal.Signals) -> None:
        if self._asked_to_stop.is_set():
            _log.warning("stopped at once: the running activities are tried again elsewhere")
            self._leave(128 + number)
        _log.info("draining: no new task is taken", signal=number.name)
        self._asked_to_stop.set()

    def _leave(self, code: int) -> None:
        self._logs.stop()
        sys.stdout.flush()
        os._exit(code)

    async def _until_the_end(self, readiness: Readiness, metrics: PoolMetrics) -> int:
        asked = asyncio.create_task(self._asked_to_stop.wait())
        measuring = asyncio.create_task(metrics.keep_measuring())
        await asyncio.wait([asked, *self._work.tasks.values()], return_when=asyncio.FIRST_COMPLETED)
        died = self._work.dead()
        for name in died:
            problem = self._work.tasks[name].exception()
            _log.error("stopped working: the process ends", part=name, exc_info=problem)
        asked.cancel()
        measuring.cancel()
        readiness.draining = True
        metrics.draining()
        grace = max(one.graceful_shutdown_s for one in self._given) + _MARGIN_S
        try:
            await asyncio.wait_for(self._work.drain(), grace)
        except TimeoutError:
            _log.error("an activity did not end: the process leaves without it", waited_s=grace)
            self._wiring.close()
            self._leave(1)
        _log.info("drained")
        return 1 if died else 0

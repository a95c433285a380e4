"""The Temporal runtime of a worker process: its logs, its metrics, and our own metrics beside them.

One runtime a process, so one Prometheus port: Temporal's metrics (`temporal_…`) and ours (`redoubt_…`) in one
scrape, durations in seconds.
"""

import asyncio
import logging
import resource
import sys
from datetime import timedelta
from typing import Final

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from clients.breakers.breaker import Breakers
from schemas.errors import DependencyUnavailable
from workers.breaker_metrics import BreakerMetrics

_MEASURE_S: Final = 10.0


def start_runtime(metrics_port: int | None) -> Runtime:
    """Made before any client: a client keeps the runtime that it was made with."""
    address = None if metrics_port is None else f"127.0.0.1:{metrics_port}"
    metrics = None if address is None else PrometheusConfig(bind_address=address, durations_as_seconds=True)
    forwarding = LogForwardingConfig(logging.getLogger("temporalio"))
    filtered = TelemetryFilter(core_level="WARN", other_level="ERROR")
    try:
        return Runtime(
            telemetry=TelemetryConfig(
                logging=LoggingConfig(filter=filtered, forwarding=forwarding), metrics=metrics
            ),
            worker_heartbeat_interval=timedelta(seconds=60),
        )
    except (RuntimeError, ValueError) as refused:
        raise DependencyUnavailable(f"Metrics can't be served on {address}: is the port taken?") from refused


class PoolMetrics:
    """What Temporal does not know: which pools this process runs, whether it drains, its start, its breakers."""

    def __init__(self, runtime: Runtime, pools: list[str], breakers: Breakers) -> None:
        meter = runtime.metric_meter
        self._up = meter.create_gauge("redoubt_pool_up", "1 while this process works for the pool.")
        self._draining = meter.create_gauge("redoubt_draining", "1 from SIGTERM until the process ends.")
        self._start = meter.create_gauge_float(
            "redoubt_worker_start_seconds", "From its start to its first poll."
        )
        self._rss = meter.create_gauge("redoubt_worker_peak_rss_bytes", "Most memory that it has held.")
        self._pools = pools
        self._breakers = BreakerMetrics(meter, breakers)

    def started(self, seconds: float) -> None:
        self._start.set(seconds)
        self._draining.set(0)
        for pool in self._pools:
            self._up.set(1, {"pool": pool})

    def draining(self) -> None:
        self._draining.set(1)
        for pool in self._pools:
            self._up.set(0, {"pool": pool})

    async def keep_measuring(self) -> None:
        unit = 1 if sys.platform == "darwin" else 1024
        while True:
            self._rss.set(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
            self._breakers.measure()
            await asyncio.sleep(_MEASURE_S)

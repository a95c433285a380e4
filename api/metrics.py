"""Prometheus metrics of a serving process, on loopback: the process itself, and what its listeners count."""

import contextlib
from collections.abc import AsyncIterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest

from clients.listeners.connections import Connections, counted_in
from schemas.listeners import Listener
from workers.health import HealthServer, Readiness

_LOOPBACK: Final = "127.0.0.1"


class Measures(NamedTuple):
    registry: CollectorRegistry
    cut: Counter
    """As by `clients.listeners.connections.counted_in`."""


@contextlib.asynccontextmanager
async def metrics_on(port: int | None) -> AsyncIterator[Measures]:
    """What to count in, served as /metrics meanwhile if there is a port.

    Raises `DependencyUnavailable` if it is taken.
    """
    registry = CollectorRegistry()
    measures = Measures(registry, counted_in(registry))
    if port is None:
        yield measures
        return
    ProcessCollector(registry=registry)

    async def measured() -> bytes:
        return generate_latest(registry)

    server = HealthServer(Readiness({}), Connections(Listener.METRICS, measures.cut), measured)
    await server.start(port, _LOOPBACK)
    try:
        yield measures
    finally:
        await server.stop()

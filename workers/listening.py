"""Where a worker process listens: its health ports, by TLS where the settings say so.

Temporal's runtime serves its metrics on loopback and knows no TLS. So the health port serves them again at
/metrics, with what its own listener counts: where it is open to others, TLS guards both.
"""

import asyncio
import http.client
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, generate_latest

from clients.listeners.connections import Connections, counted_in
from schemas.errors import DependencyUnavailable
from schemas.listeners import Listener
from schemas.settings.processes import PoolSettings
from workers.health import HealthServer, Readiness

if TYPE_CHECKING:
    from clients.tls.listener import ListenerContext

_LARGEST_SCRAPE: Final = 16 << 20
_SCRAPE_S: Final = 2.0


def distinct(given: Sequence[PoolSettings]) -> list[PoolSettings]:
    """The settings that name a health port, each port once: the first pool that names it says how it is served."""
    return list({one.health_port: one for one in reversed(given) if one.health_port}.values())


async def open_health(given: PoolSettings, readiness: Readiness) -> HealthServer:
    """Raises `DependencyUnavailable` if the port is taken, `InvalidSettings` if TLS can't be served."""
    registry = CollectorRegistry()
    context = _context(given, registry)
    connections = Connections(Listener.HEALTH, counted_in(registry))
    server = HealthServer(readiness, connections, partial(_metrics, given.metrics_port, registry))
    await server.start(given.health_port or 0, given.health_host, context)
    return server


def _context(given: PoolSettings, registry: CollectorRegistry) -> "ListenerContext | None":
    if given.tls is None:
        return None
    from clients.tls.counting import Counts  # noqa: PLC0415  # loads where TLS is served
    from clients.tls.listener import ListenerContext  # noqa: PLC0415

    return ListenerContext(given.tls, Counts(Listener.HEALTH, registry))


async def _metrics(port: int | None, registry: CollectorRegistry) -> bytes:
    of_runtime = b"" if port is None else await asyncio.to_thread(_scraped, port)
    return of_runtime + generate_latest(registry)


def _scraped(port: int) -> bytes:
    """What the runtime serves on loopback."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_SCRAPE_S)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        text = answer.read(_LARGEST_SCRAPE + 1)
    except (OSError, http.client.HTTPException):
        raise DependencyUnavailable("The runtime's metrics do not answer.") from None
    finally:
        connection.close()
    if answer.status != http.HTTPStatus.OK or len(text) > _LARGEST_SCRAPE:
        raise DependencyUnavailable("The runtime's metrics can't be read.")
    return text

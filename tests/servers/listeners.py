"""Our HTTP listeners as `api.serve` opens them, in the event loop of the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from api.serve import configured
from cli.dev.process import free_port
from clients.listeners.connections import BOUNDS, Connections, counted_in
from clients.listeners.sockets import listening
from rules.connections import Bounds
from schemas.listeners import Listener
from schemas.settings.tls import ListenerTls


@contextlib.asynccontextmanager
async def http_listener(
    app: ASGIApp,
    listener: Listener,
    tls: ListenerTls | None,
    registry: CollectorRegistry,
    bounds: Bounds = BOUNDS,
) -> AsyncIterator[int]:
    """Its port, on 127.0.0.1."""
    port, connections = free_port(), Connections(listener, counted_in(registry), bounds)
    server = uvicorn.Server(configured(app, connections, registry, tls))
    serving = asyncio.create_task(server._serve(listening("127.0.0.1", port, connections)))
    async with asyncio.timeout(60):
        while not server.started:
            assert not serving.done(), serving.exception()
            await asyncio.sleep(0.01)
    yield port
    server.should_exit = True
    await serving
    await connections.close()

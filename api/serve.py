"""uvicorn as we run it: no log of paths, bounded connections and headers, a graceful end on SIGTERM, our TLS.

With `tls` the application finds in `scope["extensions"]["tls"]` what is known of the connection, the verified client
certificate first of all (`api.tls`). Changed certificates, roots and CRLs are followed without a restart.
"""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import structlog
import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from api.connection import BoundedProtocol
from api.metrics import metrics_on
from clients.listeners.connections import Connections
from clients.listeners.sockets import listening
from schemas.listeners import Listener
from schemas.settings.tls import ListenerTls

_DRAIN_S: Final = 10

_log = structlog.get_logger("api.serve")


def serve(  # noqa: PLR0913 - what is served, where and how, and what it is called
    app: ASGIApp,
    listener: Listener,
    host: str,
    port: int,
    *,
    tls: ListenerTls | None,
    metrics_port: int | None,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises `InvalidSettings` if TLS can't be served with the files as they are, and `DependencyUnavailable` if a port
    is taken.
    """

    async def until_signalled() -> None:
        async with metrics_on(metrics_port) as measures:
            connections = Connections(listener, measures.cut)
            server = _Server(configured(app, connections, measures.registry, tls))
            sockets = listening(host, port, connections)
            _log.info("listening", listener=listener.value, host=host, port=port, tls=tls is not None)
            await server.serve(sockets)
            await connections.close()

    asyncio.run(until_signalled())


class _Server(uvicorn.Server):
    """Ends, and lets its process end: uvicorn's own raises the signal once more, which kills what is in order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def configured(
    app: ASGIApp, connections: Connections, registry: CollectorRegistry, tls: ListenerTls | None
) -> uvicorn.Config:
    protocol: Any = BoundedProtocol
    by_tls: dict[str, Any] = {}
    if tls is not None:
        from api.tls import TlsProtocol  # noqa: PLC0415  # X.509 loads where TLS is served
        from clients.tls.counting import Counts  # noqa: PLC0415
        from clients.tls.listener import ListenerContext  # noqa: PLC0415

        context = ListenerContext(tls, Counts(connections.listener, registry))
        protocol, by_tls = TlsProtocol, {"ssl_context_factory": lambda _config, _default: context}
    return uvicorn.Config(
        app,
        http=partial(protocol, connections),  # type: ignore[arg-type]  # called as the class would be
        loop="asyncio",  # another loop accepts past our sockets
        access_log=False,  # it would print the secret path
        log_config=None,  # our own logging has it
        server_header=False,
        proxy_headers=False,
        lifespan="auto",  # what is still to be recorded when the server stops
        ws="none",
        h11_max_incomplete_event_size=16 * 1024,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_DRAIN_S,
        **by_tls,
    )

"""uvicorn as we run it: no log of paths, bounded connections and headers, a graceful end on SIGTERM, our TLS.

With `tls` the application finds in `scope["extensions"]["tls"]` what is known of the connection, the verified client
certificate first of all (`api.tls`). Changed certificates, roots and CRLs are followed without a restart.
"""

from typing import Any, Final

import uvicorn
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from api.metrics import metrics_on
from schemas.settings.tls import ListenerTls

_CONNECTIONS: Final = 100
_DRAIN_S: Final = 10


def serve(  # noqa: PLR0913 - what is served, where and how, and what it is called
    app: ASGIApp,
    host: str,
    port: int,
    *,
    tls: ListenerTls | None = None,
    name: str = "codec-server",
    metrics_port: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; `name` is the listener's in the metrics.

    Raises `InvalidSettings` if TLS can't be served with the files as they are, and `DependencyUnavailable` if the
    port of the metrics is taken.
    """
    with metrics_on(metrics_port) as registry:
        uvicorn.Server(configured(app, host, port, tls, name, registry)).run()


def configured(  # noqa: PLR0913, PLR0917 - as above
    app: ASGIApp, host: str, port: int, tls: ListenerTls | None, name: str, registry: CollectorRegistry
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        access_log=False,  # it would print the secret path
        log_config=None,  # our own logging has it
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        ws="none",
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=16 * 1024,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=_DRAIN_S,
        **({} if tls is None else _by_tls(tls, name, registry)),
    )


def _by_tls(tls: ListenerTls, name: str, registry: CollectorRegistry) -> dict[str, Any]:
    from api.tls import TlsProtocol  # noqa: PLC0415  # X.509 loads where TLS is served
    from clients.tls.counting import Counts  # noqa: PLC0415
    from clients.tls.listener import ListenerContext  # noqa: PLC0415

    context = ListenerContext(tls, Counts(name, registry))
    return {"ssl_context_factory": lambda _config, _default: context, "http": TlsProtocol}

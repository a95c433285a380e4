"""uvicorn as we run it: no log of paths, bounded connections and headers, a graceful end on SIGTERM."""

import ssl
from collections.abc import Callable
from typing import Any, Final

import uvicorn

from api.guard import Guard

_CONNECTIONS: Final = 100
_DRAIN_S: Final = 10


def serve(
    app: Guard,
    host: str,
    port: int,
    tls: Callable[[uvicorn.Config, Callable[[], ssl.SSLContext]], ssl.SSLContext] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. `tls` makes the TLS context; without it the server speaks plain HTTP."""
    options: dict[str, Any] = {} if tls is None else {"ssl_context_factory": tls}
    config = uvicorn.Config(
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
        **options,
    )
    uvicorn.Server(config).run()

"""Prometheus metrics of a serving process, on loopback: the process itself, and what its TLS listener counts."""

import contextlib
import os
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from schemas.errors import DependencyUnavailable


@contextlib.contextmanager
def metrics_on(port: int | None) -> Iterator[CollectorRegistry]:
    """A registry, served as /metrics meanwhile if there is a port."""
    registry = CollectorRegistry()
    if port is None:
        yield registry
        return
    ProcessCollector(registry=registry)
    try:
        server, thread = start_http_server(port, "127.0.0.1", registry)
    except OSError as taken:
        raise DependencyUnavailable(
            f"Metrics can't be served on 127.0.0.1:{port}: {os.strerror(taken.errno or 0)}."
        ) from None
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

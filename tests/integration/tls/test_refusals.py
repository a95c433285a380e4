"""What a serving process does when a port is taken, a scrape can't be had, or a certificate has ended meanwhile."""

import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client import CollectorRegistry

import api.tls
from api.metrics import metrics_on
from cli.dev.process import free_port
from clients.tls.peer import described
from schemas.errors import DependencyUnavailable
from schemas.settings.processes import PoolSettings
from tests.integration.tls.conftest import Site, uvicorn_listener
from tests.integration.tls.test_walk import get, refused
from workers.health import Readiness
from workers.listening import _metrics, distinct, open_health


async def test_a_taken_port_of_the_metrics_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serving = metrics_on(taken.getsockname()[1])
        with pytest.raises(DependencyUnavailable, match="The listener metrics can't be opened"):
            await serving.__aenter__()


async def test_a_taken_health_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = PoolSettings(health_port=taken.getsockname()[1])
        with pytest.raises(DependencyUnavailable, match="The listener health can't be opened"):
            await open_health(given, Readiness({}))


def test_each_health_port_is_opened_once_as_the_first_pool_says() -> None:
    first, second, other = (
        PoolSettings(health_port=port, max_activities=n) for n, port in ((1, 7), (2, 7), (3, 8))
    )
    assert sorted(one.max_activities for one in distinct([first, second, other, PoolSettings()])) == [1, 3]


@pytest.fixture
def runtime() -> Iterator[HTTPServer]:
    """What answers where the runtime's metrics are expected."""

    class Broken(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(500)

        def log_message(self, *_: object) -> None:
            """Tests print nothing."""

    with HTTPServer(("127.0.0.1", 0), Broken) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


async def test_metrics_that_can_not_be_had_are_an_error_and_not_an_empty_answer(
    site: Site, runtime: HTTPServer
) -> None:
    with pytest.raises(DependencyUnavailable, match="do not answer"):
        await _metrics(free_port(), CollectorRegistry())
    with pytest.raises(DependencyUnavailable, match="can't be read"):
        await _metrics(runtime.server_port, CollectorRegistry())
    port = free_port()
    given = PoolSettings(health_port=port, metrics_port=runtime.server_port, tls=site.tls())
    server = await open_health(given, Readiness({}))
    try:
        answer = await get(site.without, port, path="/metrics")
        assert (answer.status, json.loads(answer.body)) == (503, {"metrics": "DependencyUnavailable"})
    finally:
        await server.stop()


async def test_a_connection_whose_client_certificate_has_ended_is_closed_before_it_is_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = datetime.now(UTC) + timedelta(days=9)
    async with uvicorn_listener(site.tls("required")) as port:
        assert (await get(site.client(), port)).status == 200
        monkeypatch.setattr(api.tls, "described", partial(described, now=later))
        await refused(site.client(), port)

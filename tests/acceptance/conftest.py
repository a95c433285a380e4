"""Fleets: small installations that end with their test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.dev.process import free_port
from cli.dev.servers import NINETY_DAYS_S, PebblePorts, Token
from cli.dev.servers import pebble as configure_pebble
from tests.acceptance.embedded import Embedded
from tests.acceptance.fleet import Fleet, make_namespace
from tests.conftest import Ca, DevServer
from tests.servers import broker
from tests.servers.starters import serve_webroot


@pytest.fixture
def fleet(tmp_path: Path, temporal_server: DevServer, pebble: Ca) -> Iterator[Fleet]:
    """Not yet built: the test says with which targets. The shared Pebble refuses 5 % of nonces."""
    namespace = make_namespace(temporal_server.address)
    made = Fleet(tmp_path, temporal_server.address, temporal_server.ui, namespace, pebble)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def embedded() -> Embedded:
    """One stack for the whole run."""
    about = broker.ask("stack")
    return Embedded(Path(about["folder"]), about["web_ui"])


@pytest.fixture
def own_pebble(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Make and start a Pebble of the test's own: to count at, to kill, or to make it misbehave by `env`."""
    stops: list[Callable[[], None]] = []

    def start(*, valid_s: int = NINETY_DAYS_S, **env: str) -> Any:
        http_port = free_port()
        ports = PebblePorts(http_01=http_port)
        ca = configure_pebble(tmp_path / f"ca-{http_port}", ports, env=env, valid_s=valid_s)
        web = serve_webroot(ca.webroot, http_port)
        stops.extend((web.server_close, web.shutdown, ca.stop))
        ca.start()
        return ca

    yield start
    for stop in reversed(stops):
        stop()


@pytest.fixture
def fleets(
    tmp_path: Path, temporal_server: DevServer, own_pebble: Callable[..., Any]
) -> Iterator[Callable[..., Fleet]]:
    """Make fleets side by side, each with a CA of its own, so that each counts what was issued to it alone."""
    made: list[Fleet] = []

    def make(
        *, token: Token | None = None, server: DevServer = temporal_server, valid_s: int = NINETY_DAYS_S
    ) -> Fleet:
        namespace = make_namespace(server.address)
        # Each order asks for its challenge anew, so that every renewal comes by every point.
        ca = own_pebble(valid_s=valid_s, PEBBLE_AUTHZREUSE="0")
        made.append(
            Fleet(tmp_path / f"fleet-{len(made)}", server.address, server.ui, namespace, ca, token=token)
        )
        return made[-1]

    yield make
    for one in made:
        one.stop()

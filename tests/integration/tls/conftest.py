"""Our listeners, each as the product opens it, on one TLS configuration."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from cli.dev.process import free_port
from clients.challenges import Proof
from clients.challenges.tls_alpn01 import TlsAlpnSolver
from clients.tls import groups
from schemas.listeners import Listener
from schemas.settings.processes import PoolSettings
from schemas.settings.tls import ListenerTls
from tests.integration.tls.material import NAME, Client, TlsCa, named, pem_file, put
from tests.servers.listeners import http_listener
from workers.health import Readiness
from workers.listening import open_health


@dataclass
class Site:
    """A folder with a served certificate, a CA for clients, its CRL, and clients of every sort."""

    folder: Path
    ca: TlsCa = field(default_factory=TlsCa)

    def __post_init__(self) -> None:
        put(self.folder / "api", self.ca.server(NAME))
        (self.folder / "clients.pem").write_bytes(self.ca.root)
        (self.folder / "clients.crl").write_bytes(self.ca.crl())

    def tls(self, clients: str = "none", **more: Any) -> ListenerTls:
        given: dict[str, Any] = {"certificates": [{"directory": str(self.folder / "api")}]}
        if clients != "none":
            given |= {
                "client_certificates": clients,
                "client_ca_file": str(self.folder / "clients.pem"),
                "client_crl_file": str(self.folder / "clients.crl"),
            }
        return ListenerTls.model_validate({**given, **more})

    def client(self, **of: Any) -> Client:
        return Client(self.ca.root, pem_file(self.folder, "client", self.ca.client(**of)))

    @property
    def stranger(self) -> Client:
        return Client(
            self.ca.root, pem_file(self.folder, "stranger", TlsCa(name=named("another CA")).client())
        )

    @property
    def without(self) -> Client:
        return Client(self.ca.root)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def tell_tls(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers what it was told of the connection; /slow waits for the end of the body."""
    while (await receive()).get("more_body"):
        pass
    body = json.dumps(scope["extensions"]["tls"]).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def uvicorn_listener(tls: ListenerTls, registry: CollectorRegistry | None = None) -> AsyncIterator[int]:
    """What serves the API and the codec server."""
    async with http_listener(tell_tls, Listener.API, tls, registry or CollectorRegistry()) as port:
        yield port


@contextlib.asynccontextmanager
async def health_listener(tls: ListenerTls) -> AsyncIterator[int]:
    """What serves a worker's health and metrics."""
    port = free_port()
    server = await open_health(PoolSettings(health_port=port, tls=tls), Readiness({}))
    yield port
    await server.stop()


Open = Callable[[ListenerTls], AbstractAsyncContextManager[int]]


@contextlib.asynccontextmanager
async def codec_listener(tls: ListenerTls) -> AsyncIterator[int]:
    async with http_listener(tell_tls, Listener.CODEC_SERVER, tls, CollectorRegistry()) as port:
        yield port


@contextlib.asynccontextmanager
async def alpn_listener(_tls: ListenerTls | None = None) -> AsyncIterator[int]:
    """What answers a CA's validation, while a proof for NAME is published."""
    port, proof = free_port(), Proof(NAME, "token", "token.thumbprint")
    solver = TlsAlpnSolver("127.0.0.1", port)
    solver.publish(proof)
    yield port
    await asyncio.to_thread(solver.withdraw, proof)


LISTENERS: dict[Listener, Open] = {
    Listener.API: uvicorn_listener,
    Listener.CODEC_SERVER: codec_listener,
    Listener.HEALTH: health_listener,
}
"""Those with a certificate of ours. The others are in OTHERS of test_listeners.py, and there are no more."""


@pytest.fixture(autouse=True, scope="session")
def _groups() -> None:
    """As each of our processes does when it starts."""
    assert groups.narrow()


@pytest.fixture(params=LISTENERS)
def listener(request: pytest.FixtureRequest) -> Open:
    return LISTENERS[request.param]

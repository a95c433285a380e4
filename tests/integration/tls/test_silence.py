"""Nobody shuts a listener by holding connections: silent ones, slow ones, and ones that read no answer."""

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from activities.policies import Held
from api import bodies
from cli.dev.process import free_port
from clients.challenges import Proof, tls_alpn01
from clients.challenges.tls_alpn01 import PROTOCOL, TlsAlpnSolver
from clients.listeners.connections import BOUNDS, Connections, counted_in
from rules.connections import Bounds
from schemas.listeners import Listener
from schemas.settings.tls import ListenerTls
from tests.integration.tls.conftest import Site
from tests.integration.tls.material import NAME, Client
from tests.integration.workers.test_worker_process import until
from tests.servers.listeners import http_listener
from tests.unit.api.test_api import KEYS, POLICY, House
from workers.health import HealthServer, Readiness

IMPATIENT, SLOW_ANSWER = Bounds(wait_s=0.4, serve_s=600), Bounds(wait_s=600, serve_s=0.4)
"""Until a request is there, and from then on: each is late by its own bound."""
LONG = 64 << 20
"""More than any buffer of a socket holds."""


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """Once the whole request is there."""
    while (await receive()).get("more_body"):
        pass
    body = b"x" * (LONG if scope["path"] == "/long" else 2)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Holding:
    """/hold is answered when it is let go; anything else at once."""

    def __init__(self) -> None:
        self.held, self.let_go = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/hold":
            self.held.set()
            await self.let_go.wait()
        await answers(scope, receive, send)


Open = Callable[[ListenerTls | None, CollectorRegistry, Bounds], AbstractAsyncContextManager[int]]


def http(listener: Listener) -> Open:
    def opened(
        tls: ListenerTls | None, registry: CollectorRegistry, bounds: Bounds
    ) -> AbstractAsyncContextManager[int]:
        return http_listener(answers, listener, tls, registry, bounds)

    return opened


def small(listener: Listener) -> Open:
    @contextlib.asynccontextmanager
    async def opened(
        tls: ListenerTls | None, registry: CollectorRegistry, bounds: Bounds
    ) -> AsyncIterator[int]:
        from clients.tls.counting import Counts  # noqa: PLC0415
        from clients.tls.listener import ListenerContext  # noqa: PLC0415

        port = free_port()
        server = HealthServer(Readiness({}), Connections(listener, counted_in(registry), bounds))
        await server.start(
            port, tls=None if tls is None else ListenerContext(tls, Counts(listener, registry))
        )
        yield port
        await server.stop()

    return opened


OPENED: dict[Listener, Open] = {
    Listener.API: http(Listener.API),
    Listener.CODEC_SERVER: http(Listener.CODEC_SERVER),
    Listener.METRICS: small(Listener.METRICS),
    Listener.HEALTH: small(Listener.HEALTH),
}


@contextlib.asynccontextmanager
async def silent(port: int, origins: int, each: int, say: bytes = b"") -> AsyncIterator[list[socket.socket]]:
    """Connections that say nothing, or no whole request, from several addresses of loopback."""

    def connected(number: int) -> socket.socket:
        origin = (f"127.0.1.{number % origins + 1}", 0)
        one = held.enter_context(socket.create_connection(("127.0.0.1", port), 30, source_address=origin))
        one.sendall(say)
        return one

    with contextlib.ExitStack() as held:
        yield await asyncio.to_thread(lambda: [connected(number) for number in range(origins * each)])


async def served(port: int, client: Client | None) -> int:
    if client is not None:
        return (await asyncio.to_thread(client.get, port)).status
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ")[1])


def cut(registry: CollectorRegistry, listener: Listener, reason: str) -> float:
    return (
        registry.get_sample_value("redoubt_connections_cut_total", {"listener": listener, "reason": reason})
        or 0
    )


async def ended(one: socket.socket) -> bytes:
    """What came before the listener ended this connection; a reset is an end."""

    def read() -> bytes:
        got = b""
        with contextlib.suppress(ConnectionError):
            while chunk := one.recv(1 << 16):
                got += chunk
        return got

    return await asyncio.to_thread(read)


@pytest.mark.parametrize("by_tls", [True, False], ids=["tls", "plain"])
@pytest.mark.parametrize("listener", OPENED)
async def test_a_good_client_is_served_among_many_silent_ones(
    site: Site, listener: Listener, by_tls: bool
) -> None:
    """First more than it takes from one address, then more than it takes in all. None of them is late meanwhile."""
    registry, client = CollectorRegistry(), site.without if by_tls else None
    patient = Bounds(wait_s=600)
    async with OPENED[listener](site.tls() if by_tls else None, registry, patient) as port:
        for origins, each in ((1, patient.most_an_origin + 40), (5, patient.most // 5 + 10)):
            async with silent(port, origins, each):
                assert await served(port, client) == 200
        assert cut(registry, listener, "crowded-out") >= 90
        assert cut(registry, listener, "late") == 0


@pytest.mark.parametrize("by_tls", [True, False], ids=["tls", "plain"])
async def test_a_request_that_is_being_answered_makes_way_for_nobody(site: Site, by_tls: bool) -> None:
    app, registry, patient = Holding(), CollectorRegistry(), Bounds(wait_s=600)
    context = site.without.context() if by_tls else None
    async with http_listener(app, Listener.API, site.tls() if by_tls else None, registry, patient) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname=NAME if by_tls else None
        )
        writer.write(b"GET /hold HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await app.held.wait()
        async with silent(port, 5, patient.most // 5 + 10):
            app.let_go.set()
            assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()
    assert cut(registry, Listener.API, "crowded-out") > 0


async def test_a_body_that_does_not_come_is_refused_with_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "READ_TIMEOUT_S", 0.1)
    house = House(Held(POLICY, "a" * 64))
    head = "POST /v1/runs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {KEYS['olga'][0]}\r\n"
    say = f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
    async with (
        http_listener(house.app, Listener.API, None, CollectorRegistry(), Bounds(wait_s=600)) as port,
        silent(port, 1, 1, say.encode()) as (one,),
    ):
        head_of_answer, _, body = (await ended(one)).partition(b"\r\n\r\n")
    assert head_of_answer.startswith(b"HTTP/1.1 408")
    assert json.loads(body)["correlation_id"]


@pytest.mark.parametrize("listener", OPENED)
@pytest.mark.parametrize(
    ("by_tls", "say"),
    [
        (True, b""),
        (True, b"\x16\x03\x01"),
        (False, b""),
        (False, b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "),
    ],
    ids=["silent before TLS", "half a hello", "silent", "half a head"],
)
async def test_what_never_gets_to_a_request_is_ended(
    site: Site, listener: Listener, by_tls: bool, say: bytes
) -> None:
    registry, tls = CollectorRegistry(), site.tls() if by_tls else None
    async with (
        OPENED[listener](tls, registry, IMPATIENT) as port,
        silent(port, 1, 1, say) as (one,),
    ):
        assert await ended(one) == b""
        assert cut(registry, listener, "late") == 1


@pytest.mark.parametrize("listener", OPENED)
async def test_a_body_that_is_waited_for_is_a_part_of_the_answers_time(listener: Listener) -> None:
    registry, reads_it = CollectorRegistry(), listener in {Listener.API, Listener.CODEC_SERVER}
    say = b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
    async with (
        OPENED[listener](None, registry, SLOW_ANSWER) as port,
        silent(port, 1, 1, say) as (one,),
    ):
        assert (await ended(one)).startswith(b"" if reads_it else b"HTTP/1.1 405 ")
        assert cut(registry, listener, "late") == reads_it


@pytest.mark.parametrize("listener", OPENED)
async def test_a_byte_now_and_then_buys_no_time(listener: Listener) -> None:
    """Slowloris: the time runs from the connection, not from the last byte."""
    registry = CollectorRegistry()
    async with OPENED[listener](None, registry, IMPATIENT) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /livez HTTP/1.1\r\nX-Slow: ")
        reading = asyncio.ensure_future(reader.read())
        while not reading.done():
            writer.write(b"x")
            await asyncio.wait([reading], timeout=0.05)
        writer.close()
        assert cut(registry, listener, "late") == 1


async def test_an_answer_that_nobody_reads_is_ended() -> None:
    registry = CollectorRegistry()
    async with (
        OPENED[Listener.API](None, registry, SLOW_ANSWER) as port,
        silent(port, 1, 1, b"GET /long HTTP/1.1\r\nHost: x\r\n\r\n") as (one,),
    ):
        await until(lambda: cut(registry, Listener.API, "late"), "ended")
        assert len(await ended(one)) < LONG


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000, 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
    ],
    ids=["no HTTP", "a large head", "no Host"],
)
async def test_what_is_no_http_gets_problem_details_with_a_correlation_id(sent: bytes, status: int) -> None:
    async with (
        OPENED[Listener.API](None, CollectorRegistry(), BOUNDS) as port,
        silent(port, 1, 1, sent) as (one,),
    ):
        head, _, body = (await ended(one)).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"application/problem+json" in head
    assert problem["status"] == status
    assert f"x-correlation-id: {problem['correlation_id']}".encode() in head.lower()


def test_a_validation_by_the_ca_gets_through_among_many_silent_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS-ALPN-01: the port is open to everyone while a proof is published. None of them is late meanwhile."""
    monkeypatch.setattr(tls_alpn01, "_BOUNDS", Bounds(wait_s=600))
    port = free_port()
    solver, proof = TlsAlpnSolver("127.0.0.1", port), Proof("www.example.test", "token", "token.thumbprint")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([PROTOCOL])
    solver.publish(proof)
    with contextlib.ExitStack() as held:
        for _ in range(BOUNDS.most_an_origin + 40):
            held.enter_context(socket.create_connection(("127.0.0.1", port), 30))
        with (
            socket.create_connection(("127.0.0.1", port), 30) as plain,
            context.wrap_socket(plain, server_hostname="www.example.test") as shaken,
        ):
            assert shaken.selected_alpn_protocol() == PROTOCOL
        solver.withdraw(proof)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), 30)

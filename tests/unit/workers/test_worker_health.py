"""/livez and /readyz over in-memory streams: what they answer, and that they can't be tied up."""

import asyncio
import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from clients.listeners.connections import Connections, counted_in
from schemas.errors import EvidenceUnavailable, PinRejected
from schemas.listeners import Listener
from workers import health
from workers.health import HealthServer, Readiness


class Wire(asyncio.Transport):
    """Keeps what the server writes."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


async def ask(server: HealthServer, request: bytes) -> tuple[int, dict[str, Any]]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=8192)
    reader.feed_data(request)
    reader.feed_eof()
    wire = Wire()
    protocol = asyncio.StreamReaderProtocol(reader)
    await server.serve(reader, asyncio.StreamWriter(wire, protocol, reader, loop))
    assert wire.closed
    head, _, body = wire.sent.partition(b"\r\n\r\n")
    return (int(head.split(b" ")[1]), json.loads(body or b"{}")) if head else (0, {})


def server(**checks: Any) -> tuple[HealthServer, Readiness]:
    readiness = Readiness(checks)
    connections = Connections(Listener.HEALTH, counted_in(CollectorRegistry()))
    return HealthServer(readiness, connections), readiness


async def passes() -> None:
    return None


async def fails() -> None:
    raise EvidenceUnavailable("postgresql://secret-host is away")


GET_READY = b"GET /readyz HTTP/1.1\r\n\r\n"


async def test_ready_while_every_check_passes() -> None:
    under, _ = server(records=passes, temporal=passes)
    assert await ask(under, GET_READY) == (
        200,
        {"ready": True, "checks": {"records": "ok", "temporal": "ok"}},
    )


async def test_not_ready_names_the_check_and_the_code_and_nothing_else() -> None:
    under, _ = server(records=fails, temporal=passes)
    status, body = await ask(under, GET_READY)
    assert status == 503
    assert body == {"ready": False, "checks": {"records": "EvidenceUnavailable", "temporal": "ok"}}


async def test_alive_even_when_not_ready() -> None:
    under, _ = server(records=fails)
    assert (await ask(under, b"GET /livez HTTP/1.1\r\n\r\n"))[0] == 200


async def test_not_ready_while_it_drains() -> None:
    under, readiness = server(records=passes)
    readiness.draining = True
    status, body = await ask(under, GET_READY)
    assert status == 503
    assert body["checks"]["draining"] == "yes"


async def test_a_check_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_TIMEOUT_S", 0.5)

    async def hangs() -> None:
        await asyncio.Event().wait()

    under, _ = server(records=hangs)
    assert await ask(under, GET_READY) == (503, {"ready": False, "checks": {"records": "Timeout"}})


async def test_an_unforeseen_error_is_a_check_that_failed() -> None:
    async def broken() -> None:
        raise ZeroDivisionError

    assert await Readiness({"records": broken, "pin": _pin}).found() == {
        "records": "Internal",
        "pin": "PinRejected",
    }


async def _pin() -> None:
    raise PinRejected("The token refused the PIN.")


async def test_checks_run_once_however_many_ask() -> None:
    runs = 0

    async def counted() -> None:
        nonlocal runs
        runs += 1

    readiness = Readiness({"records": counted})
    await asyncio.gather(*(readiness.found() for _ in range(50)))
    assert runs == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 404),
        (b"GET /readyz/../etc HTTP/1.1\r\n\r\n", 404),
        (b"POST /readyz HTTP/1.1\r\n\r\n", 405),
        (b"\r\n\r\n", 404),
        (b"HEAD /livez HTTP/1.1\r\n\r\n", 200),
    ],
)
async def test_anything_else_is_refused(request_: bytes, status: int) -> None:
    under, _ = server()
    assert (await ask(under, request_))[0] == status


@pytest.mark.parametrize("request_", [b"GET /livez HTT", b"GET /" + b"x" * 20_000, b""])
async def test_a_request_that_is_cut_off_or_too_long_gets_a_closed_connection(request_: bytes) -> None:
    under, _ = server()
    assert (await ask(under, request_))[0] == 0


async def test_an_answer_may_take_longer_than_a_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape of many runs, say: how long it may take is for the listener's bounds alone."""
    monkeypatch.setattr(health, "_TIMEOUT_S", 0.0)

    async def slow() -> bytes:
        for _ in range(10):
            await asyncio.sleep(0)
        return b"1"

    connections = Connections(Listener.HEALTH, counted_in(CollectorRegistry()))
    under = HealthServer(Readiness({}), connections, slow)
    assert (await ask(under, b"GET /metrics HTTP/1.1\r\n\r\n"))[0] == 200

"""/livez, /readyz and /metrics of a worker process, on loopback, or by TLS wherever its settings say.

- /livez answers while the event loop turns: a supervisor restarts a process that does not.
- /readyz is 200 only while every check passes: what the process needs for its next task is there. A worker
  that is not ready is left alone: it goes on by itself when its servers are back.
- The answer names the checks that failed and the error's code, never an address, a path or a value. Checks run
  at most once in two seconds, however often they are asked for, and never longer than two seconds each.
- A small server of our own, not a framework: it would be half of the process's memory.
"""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

import structlog

from clients.listeners.connections import Connections
from clients.listeners.sockets import listening
from schemas.errors import DependencyUnavailable, RedoubtError

Check = Callable[[], Awaitable[None]]
"""Raises what stands between the process and its next task."""

Metrics = Callable[[], Awaitable[bytes]]
"""Prometheus' text format. Raises `DependencyUnavailable` when there is none to be had now."""

_TIMEOUT_S: Final = 2.0
_FRESH_S: Final = 2.0
_MAX_REQUEST: Final = 8 * 1024

_log = structlog.get_logger("workers.health")


class Readiness:
    """The checks, asked at most once in `_FRESH_S`."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._lock = asyncio.Lock()
        self._found: dict[str, str] = {}
        self._at = float("-inf")
        self.draining = False

    async def found(self) -> dict[str, str]:
        """Each check's name, with `ok` or the code of what failed."""
        async with self._lock:
            if time.monotonic() - self._at > _FRESH_S:
                results = await asyncio.gather(*(_outcome(n, check) for n, check in self._checks.items()))
                self._tell(dict(zip(self._checks, results, strict=True)))
                self._at = time.monotonic()
        return {**self._found, **({"draining": "yes"} if self.draining else {})}

    def _tell(self, found: dict[str, str]) -> None:
        """Log what has changed: a prober asks every few seconds."""
        for name, outcome in found.items():
            if outcome != self._found.get(name, "ok"):
                _log.warning("readiness", check=name, outcome=outcome)
        self._found = found


async def _outcome(name: str, check: Check) -> str:
    try:
        await asyncio.wait_for(check(), _TIMEOUT_S)
    except RedoubtError as error:
        return error.code
    except TimeoutError:
        return "Timeout"
    except Exception:  # noqa: BLE001 - whatever it is, the answer is: not ready
        _log.exception("a readiness check failed in a way that nobody foresaw", check=name)
        return "Internal"
    return "ok"


class HealthServer:
    def __init__(
        self, readiness: Readiness, connections: Connections, metrics: Metrics | None = None
    ) -> None:
        self._readiness = readiness
        self._connections = connections
        self._metrics = metrics
        self._servers: list[asyncio.Server] = []

    async def start(self, port: int, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        """Raises `DependencyUnavailable` if the port is taken."""
        for one in listening(host, port, self._connections):
            server = await asyncio.start_server(self.serve, sock=one, limit=_MAX_REQUEST, ssl=tls)
            self._servers.append(server)

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        await self._connections.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # How long each part may take is for `Connections` alone: what it cuts off ends here as if the client had left.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            self._connections.serving(writer.transport)
            writer.write(await self._answer(head.split(b"\r\n", 1)[0]))
            await writer.drain()
        self._connections.waiting(writer.transport)
        writer.close()

    async def _answer(self, request: bytes) -> bytes:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0]
        if path not in {b"/livez", b"/readyz"} and (path != b"/metrics" or self._metrics is None):
            return _response(HTTPStatus.NOT_FOUND, {})
        if method not in {b"GET", b"HEAD"}:
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, {})
        if path == b"/livez":
            return _response(HTTPStatus.OK, {"alive": True}, body=method == b"GET")
        if path == b"/metrics" and self._metrics is not None:
            return await _measured(self._metrics, body=method == b"GET")
        checks = await self._readiness.found()
        ready = all(outcome == "ok" for outcome in checks.values())
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return _response(status, {"ready": ready, "checks": checks}, body=method == b"GET")


async def _measured(metrics: Metrics, *, body: bool) -> bytes:
    try:
        text = await metrics()
    except DependencyUnavailable as away:
        return _response(HTTPStatus.SERVICE_UNAVAILABLE, {"metrics": away.code}, body=body)
    return _framed(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", text, body=body)


def _response(status: HTTPStatus, content: Mapping[str, object], *, body: bool = True) -> bytes:
    return _framed(status, "application/json", json.dumps(content).encode() + b"\n", body=body)


def _framed(status: HTTPStatus, kind: str, data: bytes, *, body: bool) -> bytes:
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(data)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (data if body else b"")

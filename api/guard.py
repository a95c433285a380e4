"""What every request passes before a route sees it, and every answer before it leaves.

- A browser's request is served only if it comes from an allowed origin: the Web UI's. Preflights are answered for
  POST with the Web UI's three headers, and refused for anything else. A refused origin gets no CORS header.
- Every answer carries the security headers and the correlation ID; a well-formed ID of the caller is kept.
- The log names the route, never the path: the path may hold a secret. It names neither body nor headers.
"""

import time
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Refused, problem
from clients.temporal.correlation import correlated

_ALLOWED_HEADERS: Final = frozenset({"content-type", "x-namespace", "authorization"})
SECURITY: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_log = structlog.get_logger("api.requests")


class Guard:
    """ASGI middleware around the whole application."""

    def __init__(self, app: ASGIApp, allowed_origins: Collection[str]) -> None:
        self._app = app
        self._origins = frozenset(allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        with correlated(headers.get("x-correlation-id"), headers.get("traceparent")) as correlation:
            scope["state"] = {**scope.get("state", {}), "correlation_id": correlation.id}
            answer = _Answer(send, headers.get("origin"), self._origins, correlation.id)
            started = time.monotonic()
            await self._answered(scope, receive, answer)
            _log.info(
                "request",
                method=scope["method"],
                route=getattr(scope.get("route"), "path", None),
                status=answer.status,
                origin=answer.origin,
                ms=round(1000 * (time.monotonic() - started), 1),
            )

    async def _answered(self, scope: Scope, receive: Receive, answer: "_Answer") -> None:
        try:
            check_origin(scope["method"], Headers(scope=scope), self._origins)
            await self._app(scope, receive, answer)
        except Refused as refused:
            await problem(refused, answer.correlation_id)(scope, receive, answer)
        except Exception:  # noqa: BLE001 - the application has answered it already, and passes it on to be logged
            _log.exception("a request failed in a way that nobody foresaw")


def check_origin(method: str, headers: Headers, origins: Collection[str]) -> None:
    """Programs send no Origin, browsers always do with what crosses origins: theirs must be the Web UI's."""
    origin = headers.get("origin")
    if origin is not None and origin not in origins:
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "This origin is not served; for the codec server see codec_server.allowed_origins.",
        )
    if method != "OPTIONS" or "access-control-request-method" not in headers:
        return
    asked = {name.strip().lower() for name in headers.get("access-control-request-headers", "").split(",")}
    wanted = headers["access-control-request-method"]
    if origin is None or wanted != "POST" or not asked - {""} <= _ALLOWED_HEADERS:
        raise Refused(HTTPStatus.FORBIDDEN, "This preflight asks for more than the Web UI needs.")


def preflight_answer() -> Response:
    return Response(
        status_code=HTTPStatus.NO_CONTENT,
        headers={
            "Access-Control-Allow-Methods": "POST",
            "Access-Control-Allow-Headers": ", ".join(sorted(_ALLOWED_HEADERS)),
            "Access-Control-Max-Age": "600",
        },
    )


class _Answer:
    """Sends on, with the headers that every answer has, and remembers the status."""

    def __init__(self, send: Send, origin: str | None, origins: Collection[str], correlation_id: str) -> None:
        self._send = send
        self.origin = origin if origin in origins else None
        self.correlation_id = correlation_id
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.update({**SECURITY, "Vary": "Origin", "X-Correlation-Id": self.correlation_id})
            if self.origin is not None:
                headers["Access-Control-Allow-Origin"] = self.origin
        await self._send(message)

"""/livez and /readyz of a serving process, open to everyone: alive, and what it needs is there."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI
from starlette.responses import JSONResponse, Response

Ready = Callable[[], Awaitable[dict[str, str]]]
"""Each check's name, with `ok` or the code of what failed."""


def add_health(app: FastAPI, ready: Ready) -> None:
    async def readyz() -> Response:
        checks = await ready()
        passed = all(outcome == "ok" for outcome in checks.values())
        status = HTTPStatus.OK if passed else HTTPStatus.SERVICE_UNAVAILABLE
        return JSONResponse({"ready": passed, "checks": checks}, status)

    for path, endpoint in (("/livez", _livez), ("/readyz", readyz)):
        app.add_api_route(path, endpoint, methods=["GET"], response_model=None)
        app.add_api_route(path, endpoint, methods=["HEAD"], response_model=None, include_in_schema=False)


async def _livez() -> Response:
    return JSONResponse({"alive": True})

"""Reading a request's body: of the declared type, of a bounded size, within a bounded time."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.requests import Request

from api.problems import Refused

READ_TIMEOUT_S: Final = 10.0


async def read_json(request: Request, most: int) -> bytes:
    """The raw body of a JSON request."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(most)
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await _bounded(request, most)
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, "The body did not arrive in time.") from None


async def _bounded(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise _too_large(most)
    return bytes(body)


def _too_large(most: int) -> Refused:
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A request holds {most // 1024} KiB at most.")

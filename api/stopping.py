"""What is still to be done when a server stops, as ASGI's lifespan."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from fastapi import FastAPI


def at_stop(do: Callable[[], Awaitable[None]]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """For `FastAPI(lifespan=…)`."""

    @contextlib.asynccontextmanager
    async def until_it_stops(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await do()

    return until_it_stops

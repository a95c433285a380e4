from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import structlog

from tests.unit.api.stand import Records, app_for


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        yield lines


@pytest.fixture
async def client(records: Records) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_for(records), raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="http://codec") as made:
        yield made

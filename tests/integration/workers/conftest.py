from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DevServer
from tests.integration.workers.installation import Installation, Running, install


@pytest.fixture
def installation(tmp_path: Path, temporal_server: DevServer) -> Installation:
    return install(tmp_path, temporal_server.address, temporal_server.namespace)


class Workers:
    """Worker processes that end with the test."""

    def __init__(self) -> None:
        self.running: list[Running] = []

    def __call__(self, made: Installation, *words: str, name: str = "worker", **pool: Any) -> Running:
        worker = made.worker(made.pool, name=name, **pool)
        self.running.append(worker)
        return worker.start(*words)


@pytest.fixture
def worker() -> Iterator[Workers]:
    started = Workers()
    yield started
    for one in started.running:
        one.child.kill()

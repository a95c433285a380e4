from pathlib import Path

import pytest

from tests.conftest import DevServer
from tests.integration.temporal.house import House


@pytest.fixture
def house(temporal_server: DevServer, tmp_path: Path) -> House:
    return House(temporal_server, tmp_path)

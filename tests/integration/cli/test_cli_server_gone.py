"""The Temporal server dies under a command: it says so in words, and is never `Internal`."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest

from cli.cluster import Cluster, on_cluster
from cli.dev.process import free_port
from cli.dev.servers import TemporalServer, start_temporal, temporal
from cli.failures import exit_code
from cli.output import ExitCode
from schemas.errors import DependencyUnavailable
from tests.integration.cli.conftest import House


@pytest.fixture
def own_server(house: House, tmp_path: Path) -> Iterator[TemporalServer]:
    """One that this test may kill."""
    made = temporal(tmp_path, free_port(), free_port())
    start_temporal(made)
    house.change(temporal={"address": made.address})
    yield made
    made.child.kill()


@pytest.mark.usefixtures("house")
def test_whatever_a_command_asks_a_dead_server_it_says_so(own_server: TemporalServer) -> None:
    async def ask(cluster: Cluster) -> None:
        client = await cluster.client("certificates")
        own_server.child.kill()
        await client.workflow_service.get_system_info(GetSystemInfoRequest())

    with pytest.raises(DependencyUnavailable, match=r"Temporal at .* is gone") as gone:
        on_cluster(ask)
    assert exit_code(gone.value.code) is ExitCode.UNREACHABLE

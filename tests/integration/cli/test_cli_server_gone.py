"""The Temporal server dies under a command: it says so in words, or waits for the server, and is never `Internal`."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Worker

from cli.cluster import Cluster, on_cluster
from cli.dev.process import free_port
from cli.dev.servers import TemporalServer, start_temporal, temporal
from cli.failures import exit_code
from cli.following import follow, look
from cli.output import ExitCode
from clients.settings import load
from schemas.errors import DependencyUnavailable
from tests.integration.cli.conftest import House
from tests.integration.cli.open_run import OpenRun

ENDED = "certificate-renewal/ended"


@pytest.fixture
def own_server(house: House, tmp_path: Path) -> Iterator[TemporalServer]:
    """One that this test may kill; its state survives."""
    made = temporal(tmp_path, free_port(), free_port())
    start_temporal(made)
    house.change(temporal={"address": made.address})
    yield made
    made.child.kill()


class Dying(Cluster):
    """The server dies between a look's two calls, and comes back for the next look."""

    server: TemporalServer
    asked = 0

    async def handle(self, workflow_id: str, run_id: str | None = None) -> WorkflowHandle[Any, Any]:
        self.asked += 1
        if self.asked == 2:
            self.server.child.kill()
        if self.asked == 3:
            await asyncio.to_thread(start_temporal, self.server)
        return await super().handle(workflow_id, run_id)


async def test_it_dies_between_two_calls_of_a_look(house: House, own_server: TemporalServer) -> None:
    await _end_a_run(await house.client())
    cluster = Dying(load(house.settings))
    cluster.server = own_server
    with pytest.raises(DependencyUnavailable, match=r"The run .* Temporal server"):
        await look(cluster, ENDED)
    await asyncio.to_thread(start_temporal, own_server)

    cluster.asked = 0
    assert [seen.state async for seen in follow(cluster, ENDED)] == ["COMPLETED"]
    assert cluster.asked > 2, "it died, and was waited for"


@pytest.mark.usefixtures("house")
def test_whatever_a_command_asks_a_dead_server_it_says_so(own_server: TemporalServer) -> None:
    async def ask(cluster: Cluster) -> None:
        client = await cluster.client("certificates")
        own_server.child.kill()
        await client.workflow_service.get_system_info(GetSystemInfoRequest())

    with pytest.raises(DependencyUnavailable, match=r"Temporal at .* is gone") as gone:
        on_cluster(ask)
    assert exit_code(gone.value.code) is ExitCode.UNREACHABLE


async def _end_a_run(client: Client) -> None:
    async with Worker(client, task_queue="certificates", workflows=[OpenRun]):
        handle = await client.start_workflow(
            "CertificateRenewal", {"certificate": "ended"}, id=ENDED, task_queue="certificates"
        )
        await handle.query("status")  # it has begun, so the signal finds it waiting
        await handle.signal("finish")
        await handle.result()

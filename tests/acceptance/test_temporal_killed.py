"""The Temporal server is killed in the middle of a switch, with its state in a file: the run goes on where it was."""

from collections.abc import Callable
from pathlib import Path

from cli.demo.oracle import CaCounts
from cli.dev.process import free_port
from cli.dev.servers import start_temporal, temporal
from tests.acceptance.cases import HOLD, Cases, ended
from tests.acceptance.fleet import Fleet
from tests.conftest import DevServer


async def test_the_temporal_server_is_killed_in_the_middle(
    fleets: Callable[..., Fleet], tmp_path: Path
) -> None:
    folder = tmp_path / "temporal"
    folder.mkdir()
    server = temporal(folder, free_port(), free_port())
    start_temporal(server)
    try:
        fleet = fleets(server=DevServer(server.address, server.ui, server.namespace))
        cases = Cases(fleet)
        cases.build({"www": {}})
        fleet.worker()
        before = await cases.issue_first()
        counted = fleet.counts()
        cases.on_reload("www-b", HOLD)
        await cases.start("www")
        cases.wait_until_held("www-b")
        server.child.kill()
        # What the step does meanwhile, it does without the server.
        cases.let_go("www-b")
        start_temporal(server)
        client = await cases.client()
        end = await ended(client.get_workflow_handle("certificate-renewal/www"))
        assert not end.code, end
        assert not {*cases.shown("www")} & {*before["www"], ""}
        assert fleet.counts() - counted == CaCounts(2, 2, 2)
    finally:
        server.child.kill()

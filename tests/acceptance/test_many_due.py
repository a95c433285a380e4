"""Many certificates due at once: a few at a time, each renewed by one run, and none left."""

import sys
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from cli.demo.oracle import served
from cli.dev.process import Child, free_port, listening
from clients.settings import load
from tests.acceptance.cases import swept
from tests.acceptance.fleet import Fleet
from workers.wiring import Wiring

AT_ONCE = 12
DOMAIN = "many.example.com"


@pytest.fixture
def front(tmp_path: Path) -> Iterator[int]:
    """One web server for all of them; its port."""
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.certificates.front", str(port), str(tmp_path / "targets")]
    child = Child("front", argv, tmp_path / "front.log")
    child.start()
    child.wait_until(lambda: listening(port), 60, "listening")
    yield port
    child.stop()


@pytest.mark.timeout(400)  # two hundred whole renewals
@pytest.mark.parametrize("due", [30, pytest.param(200, marks=pytest.mark.chaos)])
async def test_what_is_due_at_once_is_renewed_a_few_at_a_time(
    fleet: Fleet, front: int, tmp_path: Path, due: int
) -> None:
    fleet.build(targets=("web-1",))
    usual = fleet.document["certificates"].pop("www")
    names = [f"c{number:03}" for number in range(due)]
    for name in names:
        made = _certificate(tmp_path / "targets" / name, name, front)
        fleet.document["certificates"][name] = deepcopy({**usual, **made})
    fleet.write()
    for number in range(2):
        fleet.worker(name=f"worker-{number}")
    client = await Wiring(load(fleet.folder / "redoubt.yaml")).client("certificates")
    found = await swept(client, max_concurrent=AT_ONCE)
    assert sorted(found.renewed) == names
    assert (found.looked_at, found.failed, found.running, found.postponed) == (due, (), (), 0)

    runs = [run async for run in client.list_workflows("WorkflowType = 'CertificateRenewal'")]
    assert sorted(run.id for run in runs) == [f"certificate-renewal/{name}" for name in names]
    starts = [(run.start_time, 1) for run in runs]
    ends = [(run.close_time, -1) for run in runs if run.close_time is not None]
    assert len(ends) == due
    going = most = 0
    for _, change in sorted([*starts, *ends]):
        going += change
        most = max(most, going)
    assert 1 < most <= AT_ONCE
    roots = fleet.folder / "ca/root.pem"
    assert len({served(front, f"{name}.{DOMAIN}", roots) for name in names}) == due
    assert len(list((fleet.folder / "ca/orders").glob("*.pem"))) == due
    assert (await swept(client, max_concurrent=AT_ONCE)).renewed == ()


def _certificate(directory: Path, name: str, port: int) -> dict[str, Any]:
    directory.mkdir(parents=True, mode=0o700)
    verify = {"host": "127.0.0.1", "port": port}
    target = {"name": "front", "directory": str(directory), "reload": ["true"], "verify": verify}
    return {"names": [f"{name}.{DOMAIN}"], "issuers": ["local"], "targets": [target]}

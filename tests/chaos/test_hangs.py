"""What hangs instead of dying: the CA for longer than a request's time-out, a worker that holds a target's lock."""

import json
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from cli.demo.oracle import CaCounts
from clients.tools import find
from tests.acceptance.fleet import Fleet, wait_until
from tests.acceptance.killing import leftovers
from tests.servers.freezing import frozen

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def test_a_ca_that_hangs_is_waited_for(fleets: Callable[..., Fleet]) -> None:
    fleet = fleets().build(targets=("web-1",))
    worker = fleet.worker(crash_at="order.stored")
    fleet.start()
    wait_until(fleet.marker.exists, 60, "the placed order")
    with frozen(fleet.ca.ca):
        worker.signal(signal.SIGCONT)
        wait_until(lambda: _attempts(fleet) > 1, 120, "a request that was given up")
    ended = fleet.watch()
    assert ended["state"] == "COMPLETED", ended
    assert fleet.counts() == CaCounts(orders=1, finalizes=1, certificates=1)
    assert fleet.shown() == ended["result"]["fingerprints"]


def test_a_target_whose_lock_a_hanging_worker_holds_is_put_back_as_soon_as_it_lets_go(
    fleets: Callable[..., Fleet],
) -> None:
    """It hangs between its switch and its reload, half-way: the undo waits for the lock, and then puts it back."""
    fleet = fleets().build(targets=("web-1", "web-2"), target_patience_s=3, waves=[2])
    fleet.target("web-2")["reload_timeout_s"] = fleet.target("web-1")["reload_timeout_s"] = 3.0
    fleet.write()
    first = fleet.worker(name="first")
    assert fleet.renew()["state"] == "COMPLETED"
    first.stop()
    before = fleet.shown()
    zombie = fleet.worker(crash_at="target.switched", name="zombie")
    fleet.start()
    wait_until(fleet.marker.exists, 60, "the worker under a target's lock")
    fleet.worker(name="healthy")
    wait_until(lambda: _phase(fleet) == "putting back", 180, "the undo, which this target holds up")
    zombie.signal(signal.SIGCONT)
    ended = fleet.watch()
    assert ended["state"] == "FAILED", ended
    assert fleet.shown() == before
    assert leftovers(fleet) == []


def _attempts(fleet: Fleet) -> int:
    """Of the activity that is tried now."""
    argv = [str(find("temporal")), "workflow", "describe", "--workflow-id", "certificate-renewal/www"]
    argv += ["--address", fleet.address, "--namespace", fleet.namespace, "-o", "json"]
    told = json.loads(subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout)
    return max((int(each.get("attempt", 1)) for each in told.get("pendingActivities", [])), default=0)


def _phase(fleet: Fleet) -> str:
    row: dict[str, Any] = fleet.redoubt("status", "certificate-renewal/www", "-o", "json").json
    return str(row["phase"])

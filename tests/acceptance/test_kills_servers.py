"""The CA or the Temporal server is killed in the middle of a renewal, which ends with one certificate all the same."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.demo.oracle import CaCounts
from cli.dev.process import Child, free_port
from cli.dev.servers import TemporalServer, Token, start_temporal, temporal
from tests.acceptance.fleet import Fleet, wait_until
from tests.acceptance.killing import leftovers, verified
from tests.conftest import DevServer

FIRST_WAVE = len(("key", "order", "authorize", "finalize", "issued", *3 * ("stage",), "switch", "verify"))
"""Steps that are finished when the first of three targets is verified."""
ONE = CaCounts(orders=1, finalizes=1, certificates=1)


def _stopped_at(fleet: Fleet, point: str) -> Child:
    """A worker that stands still at this point of a renewal, alive."""
    worker = fleet.worker(crash_at=point, name=f"stopped-{point.partition(':')[0]}")
    fleet.start()
    wait_until(fleet.marker.exists, 90, f"the worker at {point}")
    return worker


def test_a_ca_that_was_killed_and_has_forgotten_the_order_gets_a_new_one(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = fleets().build(targets=("web-1",))
    for point in ("order.stored", "challenge.answered", "order.finalized"):
        worker = _stopped_at(fleet, point)
        fleet.ca.ca.kill()
        before = fleet.counts()
        fleet.ca.start_ca()
        worker.signal(signal.SIGCONT)
        ended = fleet.watch()
        assert ended["state"] == "COMPLETED", (point, ended)
        assert fleet.counts() - before == ONE, point
        # The CA has a root of its own since it lives again: only what that one issued verifies.
        assert fleet.shown() == ended["result"]["fingerprints"], point
        worker.stop()


@pytest.mark.chaos  # `make test` kills it once, in test_temporal_killed.py
def test_the_temporal_server_is_killed_while_targets_are_switched_and_between_two_waves(
    tmp_path: Path, fleets: Callable[..., Fleet], softhsm: Token
) -> None:
    server = temporal(tmp_path / "temporal", free_port(), free_port())
    start_temporal(server)
    try:
        fleet = fleets(token=softhsm, server=DevServer(server.address, server.ui, server.namespace)).build()
        first = fleet.worker(name="first")
        assert fleet.renew()["state"] == "COMPLETED"
        first.stop()
        _killed_while_switching(fleet, server)
        _killed_between_waves(fleet, server)
    finally:
        server.child.kill()


def _killed_while_switching(fleet: Fleet, server: TemporalServer) -> None:
    """The worker lives, and does what it was told while there is nobody whom it could tell."""
    before = fleet.counts()
    worker = _stopped_at(fleet, "target.switched:2")
    server.child.kill()
    worker.signal(signal.SIGCONT)
    start_temporal(server)
    _assert_one(fleet, fleet.watch(), before)
    worker.stop()


def _killed_between_waves(fleet: Fleet, server: TemporalServer) -> None:
    """Server and worker die together when the first target is verified and the others are not yet switched."""
    before, old = fleet.counts(), set(fleet.shown().values())
    worker = _stopped_at(fleet, f"journal.finished:{FIRST_WAVE}")
    server.child.kill()
    worker.kill()
    shown = fleet.shown()
    assert {name for name in shown if shown[name] not in old} == {"web-1"}
    start_temporal(server)
    fleet.worker(pools=("certificates", "audit"))
    _assert_one(fleet, fleet.watch(), before)
    assert leftovers(fleet) == []
    assert verified(fleet)["open_steps"] == []


def _assert_one(fleet: Fleet, ended: dict[str, Any], before: CaCounts) -> None:
    assert ended["state"] == "COMPLETED", ended
    assert fleet.counts() - before == ONE
    assert fleet.shown() == ended["result"]["fingerprints"]
    assert len(set(fleet.shown().values())) == 1

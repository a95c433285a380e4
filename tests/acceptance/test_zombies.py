"""A worker hangs longer than its heartbeat, is taken for dead, and wakes: what it had in hand has no effect."""

import signal
from collections.abc import Callable

import pytest

from cli.dev.process import Child
from tests.acceptance.fleet import Fleet, wait_until
from tests.acceptance.killing import leftovers

HANGS_AT = "journal.begun@switch/web-1"
"""The intent to switch is recorded, and nothing is done yet. A count of steps would miss it if one is tried twice."""

ENDS = ("Completing activity as failed", "this attempt was cut short")
"""What its log says when the fence has refused the step, and when Temporal's cancellation came first."""


@pytest.mark.chaos  # `make test` has the one that wakes after an undo
def test_a_worker_that_wakes_after_others_have_finished_and_renewed_again_changes_nothing(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = fleets().build(targets=("web-1",))
    zombie = _hanging(fleet)
    fleet.worker(only="activities", name="healthy")
    first, second = fleet.watch(), fleet.renew()
    assert (first["state"], second["state"]) == ("COMPLETED", "COMPLETED"), (first, second)
    assert fleet.shown() == second["result"]["fingerprints"] != first["result"]["fingerprints"]
    _assert_harmless(fleet, zombie)
    assert fleet.counts().certificates == 2


def test_a_worker_that_wakes_after_others_have_gone_back_changes_nothing(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = fleets().build(targets=("web-1",), verify_timeout_s=5.0, target_patience_s=2)
    first = fleet.worker(name="first")
    assert fleet.renew()["state"] == "COMPLETED"
    first.stop()
    before = fleet.shown()
    zombie = _hanging(fleet)
    configuration = fleet.sites["web-1"].folder / "nginx.conf"
    good = configuration.read_text("ascii")
    configuration.write_text("this is no configuration;\n" + good, "ascii")
    fleet.worker(only="activities", name="healthy")
    assert fleet.watch()["state"] == "FAILED"
    configuration.write_text(good, "ascii")
    assert fleet.shown() == before
    _assert_harmless(fleet, zombie)


def _hanging(fleet: Fleet) -> Child:
    """It holds nothing but the one step: whatever else it held would have to time out too, which takes long."""
    fleet.document["pools"] = {"certificates": {"max_activities": 1}}
    fleet.write()
    fleet.worker(only="workflows", name="workflows")
    zombie = fleet.worker(only="activities", crash_at=HANGS_AT, name="zombie")
    fleet.start()
    wait_until(fleet.marker.exists, 60, "the worker that is about to switch")
    return zombie


def _assert_harmless(fleet: Fleet, zombie: Child) -> None:
    """Let it go on: Temporal cancels its step, or the target's fence refuses it, whichever it meets first."""
    before, current = fleet.shown(), fleet.sites["web-1"].target.joinpath("current").readlink()
    zombie.signal(signal.SIGCONT)
    wait_until(lambda: any(end in zombie.last_words(1000) for end in ENDS), 60, "the end of its step")
    assert fleet.sites["web-1"].target.joinpath("current").readlink() == current
    assert fleet.shown() == before
    assert leftovers(fleet) == []

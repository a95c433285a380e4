"""A worker whose clock is a day off decides nothing, whichever way it is off; a worker with the right time goes on."""

from pathlib import Path

import pytest

from clients.tools import find
from tests.acceptance.cases import Cases, ended
from tests.acceptance.fleet import Fleet, wait_until

OFF = "This worker's clock says"


@pytest.fixture
def cases(fleet: Fleet) -> Cases:
    made = Cases(fleet)
    made.build({"www": {"issuers": ["local"], "target_patience_s": 60.0}}, targets="a")
    return made


def start_worker(fleet: Fleet, days_off: int) -> None:
    """Only its time of day is off: what it measures with runs as it should."""
    library = str(find("libfaketimeMT.so.1"))
    fleet.env = {"LD_PRELOAD": library, "FAKETIME": f"{days_off:+}d", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    fleet.worker(name="wrong")
    fleet.env = {}


def root(fleet: Fleet) -> Path:
    return fleet.folder / "ca/root.pem"


@pytest.mark.parametrize("days", [-1, 1])
async def test_a_worker_whose_clock_is_a_day_off_begins_nothing(
    cases: Cases, fleet: Fleet, days: int
) -> None:
    start_worker(fleet, days)
    run = await cases.start("www")
    await cases.tried_again("www", OFF)
    orders = fleet.folder / "ca/orders"
    assert not list(orders.glob("*.json"))
    fleet.workers[-1].stop()
    fleet.worker(name="right")
    assert not (await ended(run)).code
    assert len(list(orders.glob("*.json"))) == 1


async def test_a_clock_that_is_off_in_the_middle_of_a_wave_puts_nothing_back(
    cases: Cases, fleet: Fleet
) -> None:
    first = fleet.worker(name="first")
    await cases.issue_first()
    first.stop()
    before = cases.shown("www", root(fleet))
    doomed = fleet.worker(crash_at="target.switched", name="doomed")
    run = await cases.start("www")
    wait_until(fleet.marker.exists, 60, "the switch")
    doomed.kill()
    start_worker(fleet, -1)
    await cases.tried_again("www", OFF)
    fleet.workers[-1].stop()
    fleet.worker(name="right")
    end = await ended(run)
    assert end.result is not None, end
    assert cases.shown("www", root(fleet)) == list(end.result.fingerprints.values()) != before

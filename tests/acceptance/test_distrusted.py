"""An issuer is compromised: what it has issued is replaced from another, in waves, until too many fail, and later on.

The CA that is distrusted is a real Pebble, the targets are real web servers, and one of them refuses its reload.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.cases import FAIL_ONCE, Cases
from tests.acceptance.fleet import NAME, Fleet
from tests.acceptance.test_revocation import ended
from workers.wiring import Wiring

CASES = ("four", "three", "two", "one")
"""Each with as many names as it says: the most exposed comes first."""


def names(case: str) -> list[str]:
    others = {"four": 3, "three": 2, "two": 1, "one": 0}[case]
    return [NAME, *(f"{case}-{number}.example.com" for number in range(others))]


@pytest.mark.timeout(400)  # four certificates twice, and four sweeps
async def test_waves_replace_what_it_issued_and_a_failure_stops_the_next(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = fleets()
    cases = Cases(fleet)
    cases.build({case: {"names": names(case), "issuers": ["acme", "local"]} for case in CASES}, targets="a")
    first = fleet.worker()
    await cases.issue_first()
    before = {case: cases.shown(case) for case in CASES}
    first.kill()

    fleet.document["distrusted_issuers"] = ["acme"]
    fleet.document["replacement"] = {"waves": [1, 2], "stop_after": 1}
    fleet.write()
    cases.on_reload("two-a", FAIL_ONCE)
    fleet.worker(name="second")
    stopped = ended(fleet, "CertificateSweep", {})
    assert sorted(stopped["renewed"]) == ["four", "three"], "the first wave, and half of the second"
    assert (stopped["failed"], stopped["halted"]) == (["two"], ["one"])
    roots = local_roots(cases)
    assert {case: bool(cases.shown(case, roots)[0]) for case in CASES} == {
        "four": True, "three": True, "two": False, "one": False,
    }  # fmt: skip
    assert cases.shown("two") == before["two"], "its target was put back"
    assert cases.shown("one") == before["one"]

    again = ended(fleet, "CertificateSweep", {})
    assert (again["renewed"], again["held_off"], again["halted"]) == ([], ["two"], ["one"])

    assert fleet.watch(fleet.start(certificate="two"))["state"] == "COMPLETED"
    on = ended(fleet, "CertificateSweep", {})
    assert (on["renewed"], on["halted"]) == (["one"], [])
    assert all(cases.shown(case, roots)[0] for case in CASES)
    told = json.loads(fleet.redoubt("status", "certificate-sweep/all", "-o", "json").out)
    assert told["phase"] == "done"


def local_roots(cases: Cases) -> Path:
    file = cases.fleet.folder / "local-roots.pem"
    file.write_bytes(Wiring(cases.settings()).issuer("local").trust_anchors())
    return file

"""A certificate, or one of its targets, is taken out of the settings while its renewal is half-way: nothing stays so.

Each case is held while its second target reloads, when its first one serves the new certificate already. Then the
worker is killed, and the next one has other settings.
"""

import json
from collections.abc import Callable

from tests.acceptance.cases import FAIL_ONCE, HOLD, Cases, assert_told, ended
from tests.acceptance.fleet import Fleet

CASES = ("running", "less", "terminated")


async def test_what_is_taken_out_of_the_settings_in_the_middle_is_put_back_as_it_was_recorded(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = fleets()
    cases = Cases(fleet)
    cases.build({case: {} for case in CASES})
    worker = fleet.worker()
    before = await cases.issue_first()
    for case in CASES:
        cases.on_reload(f"{case}-b", HOLD)
    runs = {case: await cases.start(case) for case in CASES}
    for case in CASES:
        cases.wait_until_held(f"{case}-b")
        assert (cases.shown(case)[0], cases.shown(case)[1]) != tuple(before[case]), case
    assert "none" in _open_operations(fleet)
    worker.kill()
    await runs["terminated"].terminate("by a person")
    for case in ("running", "terminated"):
        del fleet.document["certificates"][case]
    del cases.certificate("less")["targets"][0]
    fleet.write()
    for case in CASES:
        cases.let_go(f"{case}-b")
    cases.on_reload("less-b", FAIL_ONCE)
    said = _open_operations(fleet)
    for missing in ("certificate running", "certificate terminated", "target less-a"):
        assert f"the settings have no {missing} any more: the next sweep puts its targets back" in said

    fleet.worker(name="next")
    told = [
        json.loads(line) for line in (fleet.folder / "next.log").read_text().splitlines() if line[:1] == "{"
    ]
    assert sum("the settings have no" in one["event"] for one in told) == 3
    assert_told(await ended(runs["running"]), "UnknownSubject", "has no target 'running-b' any more")
    assert_told(await ended(runs["less"]), "ReloadFailed", "less-b")
    assert fleet.redoubt("start", "CertificateSweep", "--input", "-", given="{}").code == 0
    swept = fleet.watch("certificate-sweep/all")
    assert swept["result"]["failed"] == ["terminated"], swept
    for case in CASES:
        assert cases.shown(case) == before[case], case
    assert "none" in _open_operations(fleet)


def _open_operations(fleet: Fleet) -> str:
    rows = fleet.redoubt("doctor", "-o", "json").json
    return str(next(row["saw"] for row in rows if row["check"] == "open operations"))

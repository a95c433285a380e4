"""CAs that fail or speak up: the second one is asked, and a sweep renews when the CA says so, or by the dates alone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cli.demo.oracle import CaCounts
from tests.acceptance.cases import Cases, swept
from tests.acceptance.fleet import NAME, Fleet
from tests.servers.suggestions import suggest, window_of

ISSUER = ("directory", "ca_file", "trust_file")


async def test_where_the_first_ca_finds_the_order_invalid_the_second_one_issues(
    fleets: Callable[..., Fleet], own_pebble: Callable[..., Any], tmp_path: Path
) -> None:
    fleet, first, nowhere = fleets(), own_pebble(), tmp_path / "nowhere"
    cases = Cases(fleet)
    cases.build({"www": {"issuers": ["first", "acme"]}}, targets="a")
    nowhere.mkdir()
    fleet.document["challenges"]["nowhere"] = {"kind": "http-01", "webroot": str(nowhere)}
    its_own = {name: str(getattr(first, name)) for name in ISSUER}
    fleet.document["issuers"]["first"] = {
        **fleet.document["issuers"]["acme"],
        **its_own,
        "challenge": "nowhere",
    }
    fleet.write()
    fleet.worker()
    end = (await cases.renew(["www"]))["www"]
    assert end.result is not None, end
    assert end.result.issuer == "acme"
    assert f"first could not validate {NAME}" in end.result.passed_over[0]
    assert cases.shown("www") == list(end.result.fingerprints.values())
    assert CaCounts.read(first.log) == CaCounts(orders=1, finalizes=0, certificates=0)
    assert fleet.counts() == CaCounts(orders=1, finalizes=1, certificates=1)


async def test_a_sweep_renews_when_the_ca_says_so_and_by_its_own_dates_when_the_ca_is_away(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = fleets()
    cases = Cases(fleet)
    patient = {"issuers": ["acme", "local"], "issuer_patience_s": 1.0}
    cases.build({"told": patient, "quiet": patient}, targets="a")
    first = fleet.worker(name="first")
    before = await cases.issue_first()
    now = datetime.now(UTC)
    over = window_of(now - timedelta(days=2), now - timedelta(days=1))
    suggest(fleet.ca, _chain(cases, "told"), over)
    found = await swept(await cases.client())
    assert (found.looked_at, found.renewed, found.failed) == (2, ("told",), ())
    assert cases.shown("told") != before["told"]
    assert cases.shown("quiet") == before["quiet"]
    first.stop()

    # Another worker, which has not heard of any window yet, and a CA that is away.
    fleet.ca.ca.stop()
    fleet.worker(name="second")
    found = await swept(await cases.client())
    assert (found.looked_at, found.renewed, found.failed) == (2, (), ())
    cases.folder("quiet-a").joinpath("current").unlink()
    found = await swept(await cases.client())
    assert (found.renewed, found.failed) == (("quiet",), ())
    assert cases.shown("quiet", fleet.folder / "ca/root.pem") != [""]


def _chain(cases: Cases, case: str) -> bytes:
    return (cases.folder(f"{case}-a") / "current/fullchain.pem").read_bytes()

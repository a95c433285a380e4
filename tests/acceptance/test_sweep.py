"""The Schedule's sweep: it renews what is due, when it is due, and what an ended run has left; and nothing else."""

import copy
import json
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509

from cli.demo.oracle import CaCounts, served
from clients.tools import find
from tests.acceptance.fleet import Fleet, wait_until

BLOG = "blog.example.com"
SWEEP = "certificate-sweep/all"


def test_a_schedule_renews_what_is_due_and_nothing_else(fleets: Callable[..., Fleet]) -> None:
    fleet = _with_two_certificates(fleets())
    fleet.worker()
    _sweep_every(fleet, seconds=2)
    wait_until(lambda: _blog(fleet) and fleet.shown(), 60, "both certificates")
    blog = _blog(fleet)
    for spoil in (_remove, _garble):
        wait_until(lambda: not _running(fleet), 30, "the last renewal's end")
        before = set(fleet.shown().values())
        spoil(fleet.sites["web-1"].target)
        wait_until(lambda: _others_than(fleet, before), 60, f"{spoil.__name__} mended")  # noqa: B023 - waited for here
    swept = _sweeps(fleet)
    wait_until(lambda: _sweeps(fleet) > swept + 1, 60, "more sweeps, which have nothing to do")
    assert _blog(fleet) == blog
    assert fleet.counts().certificates == 4
    rows = fleet.redoubt("list", "--type", "CertificateSweep", "-o", "json").json
    assert {row["state"] for row in rows} <= {"COMPLETED", "RUNNING"}
    assert {row["name"]: row["due"] for row in fleet.redoubt("certs", "list", "-o", "json").json} == {
        "www": False,
        "blog": False,
    }
    assert "blog" in fleet.redoubt("certs", "list").out


def test_a_sweep_leaves_what_is_running_alone_and_finishes_what_an_ended_run_has_left(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = _with_two_certificates(fleets(), grace_s=3600)
    fleet.kill_at("order.stored", fleet.start)
    _terminate(fleet, "certificate-renewal/www")
    fleet.worker()
    fleet.start(certificate="blog", force=False)
    wait_until(lambda: _status(fleet, "certificate-renewal/blog")["phase"] == "grace", 60, "the grace")
    given = json.dumps({"jitter_s": 1.5})
    assert fleet.redoubt("start", "CertificateSweep", "--input", "-", given=given).code == 0
    ended = fleet.watch(SWEEP)
    assert ended["state"] == "COMPLETED", ended
    swept = {name: ended["result"][name] for name in ("looked_at", "renewed", "already_running", "failed")}
    assert swept == {"looked_at": 2, "renewed": ["www"], "already_running": ["blog"], "failed": []}
    # The order that the ended run had placed for `www` was used: there is no other.
    assert fleet.counts() == CaCounts(orders=2, finalizes=2, certificates=2)
    assert len(fleet.shown()) == 1
    *waits, patience = sorted(float(each.removesuffix("s")) for each in _timers(fleet, SWEEP))
    assert patience == 1800 + 1.5, "how long the sweep waits for its renewals"
    assert len(waits) == 2
    assert all(0 <= wait <= 1.5 for wait in waits)
    assert waits[0] != waits[1]


def test_a_short_certificate_is_renewed_when_a_third_of_its_life_is_left(
    fleets: Callable[..., Fleet],
) -> None:
    fleet = fleets(valid_s=30).build(targets=("web-1",))
    fleet.worker()
    _sweep_every(fleet, seconds=1)
    wait_until(fleet.shown, 60, "the first certificate")
    first, first_leaf = fleet.shown(), _leaf(fleet)
    wait_until(lambda: _others_than(fleet, set(first.values())), 60, "the next one, served and valid")
    lifetime = first_leaf.not_valid_after_utc - first_leaf.not_valid_before_utc
    waited = _leaf(fleet).not_valid_before_utc - first_leaf.not_valid_before_utc
    a_second = timedelta(seconds=1)  # certificates count in whole ones, rounded down
    assert waited > lifetime * 2 / 3 - a_second


def _with_two_certificates(fleet: Fleet, **blog: Any) -> Fleet:
    """`www` on web-1, `blog` on web-2."""
    fleet.build(targets=("web-1", "web-2"))
    blog |= {"names": [BLOG], "targets": [fleet.target("web-2")]}
    fleet.document["certificates"]["blog"] = copy.deepcopy({**fleet.www, **blog})
    fleet.www["targets"] = [fleet.target("web-1")]
    fleet.write()
    return fleet


def _sweep_every(fleet: Fleet, *, seconds: int) -> None:
    fleet.document["schedules"] = {"sweep": {"workflow": "CertificateSweep", "every_s": seconds}}
    fleet.write()
    assert fleet.redoubt("schedules", "apply").code == 0


def _remove(target: Path) -> None:
    target.joinpath("current").unlink()


def _garble(target: Path) -> None:
    target.joinpath("current", "fullchain.pem").write_text("no certificate\n", "ascii")


def _others_than(fleet: Fleet, before: set[str]) -> bool:
    """A server that refuses shows nothing, which is no other certificate."""
    shown = set(fleet.shown().values())
    return bool(shown) and not before & shown


def _blog(fleet: Fleet) -> str:
    try:
        return served(fleet.sites["web-2"].port, BLOG, fleet.ca.trust_file)
    except OSError:
        return ""


def _sweeps(fleet: Fleet) -> int:
    (row,) = fleet.redoubt("schedules", "list", "-o", "json").json
    return int(row["runs"])


def _running(fleet: Fleet) -> list[Any]:
    rows: list[Any] = fleet.redoubt("list", "--type", "CertificateRenewal", "--running", "-o", "json").json
    return rows


def _status(fleet: Fleet, workflow_id: str) -> dict[str, Any]:
    row: dict[str, Any] = fleet.redoubt("status", workflow_id, "-o", "json").json
    return row


def _leaf(fleet: Fleet) -> x509.Certificate:
    chain = fleet.sites["web-1"].target / "current" / "fullchain.pem"
    return x509.load_pem_x509_certificate(chain.read_bytes())


def _temporal(fleet: Fleet, *words: str) -> str:
    argv = [str(find("temporal")), *words, "--address", fleet.address, "--namespace", fleet.namespace]
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


def _terminate(fleet: Fleet, workflow_id: str) -> None:
    _temporal(fleet, "workflow", "terminate", "--workflow-id", workflow_id)


def _timers(fleet: Fleet, workflow_id: str) -> list[str]:
    """How long each timer of a run was set for, in seconds with an `s`."""
    events = json.loads(_temporal(fleet, "workflow", "show", "--workflow-id", workflow_id, "-o", "json"))
    return [
        event["timerStartedEventAttributes"]["startToFireTimeout"]
        for event in events["events"]
        if event["eventType"] == "EVENT_TYPE_TIMER_STARTED"
    ]

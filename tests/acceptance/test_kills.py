"""The worker is killed at every named point: one certificate, nothing half-switched, and evidence that verifies.

Points by which no renewal comes are killed at by other tests: test_points.py has the whole list.
"""

from collections.abc import Callable

import pytest

from cli.dev.servers import Token
from tests.acceptance.fleet import Fleet
from tests.acceptance.killing import DESTROYING, Chain, issue_first, kill_all_along

# The points of one renewal, dealt to chains so that no step dies more often than its patience allows.
FIRST = (
    *("key.generating", "journal.begun:2", "challenge.published", "order.finalized"),
    *("target.fenced", "target.switched", "key.destroyed"),
)
SECOND = (
    *("key.generated", "order.placed", "challenge.answered", "certificate.downloaded"),
    *("target.drafted", "target.reloaded", "key.destroying"),
)
THIRD = ("key.made", "journal.finished", "order.stored", "target.staged", "intent.logged", "renewal.retired")
UNDONE = (
    *("target.key_made", "undo.begun", "target.restored", "target.restore_reloaded"),
    "renewal.retired",
)
PASSED_BY = {point.partition(":")[0] for point in (*FIRST, *SECOND, *THIRD, *UNDONE)}


@pytest.mark.timeout(
    900
)  # 25 workers die, each of them is missed after ten seconds, on a machine as busy as it may be
def test_a_worker_may_be_killed_at_every_point_of_a_renewal_and_of_its_undo(
    fleets: Callable[..., Fleet], softhsm: Token
) -> None:
    forward = [
        Chain(fleets(token=softhsm).build(targets=("web-1", "web-2"), **DESTROYING), points)
        for points in (FIRST, SECOND, THIRD)
    ]
    keys_on_targets = fleets().build(targets=("web-1", "web-2"), target_patience_s=3, verify_timeout_s=5.0)
    back = Chain(keys_on_targets, UNDONE, certificates=2)
    issue_first([chain.fleet for chain in (*forward, back)])
    _break(keys_on_targets, "web-2")
    *renewed, undone = kill_all_along([*forward, back])
    for chain, ended in zip(forward, renewed, strict=True):
        assert ended["state"] == "COMPLETED", (chain.killed, ended)
        assert len(set(chain.fleet.shown().values())) == 1
        assert not set(chain.fleet.shown().values()) & set(chain.shown.values())
        chain.assert_whole(ended, orphans=chain.killed.count("order.placed"))
    assert (undone["state"], undone["error"]["code"]) == ("FAILED", "VerificationFailed")
    # What failed has no outcome: the undo says why.
    back.assert_whole(undone, orphans=0)


def _break(fleet: Fleet, target: str) -> None:
    """Let the web server refuse every new configuration and serve on what it has."""
    configuration = fleet.sites[target].folder / "nginx.conf"
    configuration.write_text("this is no configuration;\n" + configuration.read_text("ascii"), "ascii")

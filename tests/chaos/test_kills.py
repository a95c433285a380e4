"""Kills at random: points anywhere, again and again, and two in one renewal's every step; one certificate each."""

import random
from collections.abc import Callable, Sequence

import pytest

from cli.dev.servers import Token
from tests.acceptance.fleet import Fleet
from tests.acceptance.killing import DESTROYING, Chain, issue_first, kill_all_along
from tests.acceptance.test_kills import FIRST, SECOND, THIRD

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1500)]

ORDER = (
    *("key.generating", "key.generated", "key.made", "order.placed", "order.stored"),
    *("challenge.published", "challenge.answered", "order.finalized", "certificate.downloaded"),
)
TARGETS = ("target.fenced", "target.drafted", "target.staged", "target.switched", "target.reloaded")
"""Each renewal with three targets comes by three times."""


def test_a_worker_is_killed_at_random_points_of_five_renewals_at_once(
    fleets: Callable[..., Fleet], softhsm: Token, dice: random.Random
) -> None:
    chains = [Chain(fleets(token=softhsm).build(), _points(dice)) for _ in range(5)]
    issue_first([chain.fleet for chain in chains])
    for chain, ended in zip(chains, kill_all_along(chains), strict=True):
        assert ended["state"] == "COMPLETED", (chain.points, ended)
        chain.assert_whole(ended, orphans=chain.killed.count("order.placed"))


def _points(dice: random.Random) -> list[str]:
    """In the order in which a renewal comes by; at most two deaths in one step, which its patience allows."""
    order = sorted(dice.sample(ORDER, 4), key=ORDER.index)
    wave = dice.choice(("target.switched", "target.reloaded"))
    return [*order, f"{dice.choice(TARGETS[1:3])}:{dice.randint(1, 3)}", wave, "renewal.retired"]


@pytest.mark.parametrize("times", [2, 3])
def test_a_worker_is_killed_when_it_comes_by_a_point_again(
    fleets: Callable[..., Fleet], softhsm: Token, times: int
) -> None:
    """Of three targets the second and the third, and of the journal every step up to the last."""
    chains = [Chain(fleets(token=softhsm).build(), [f"{point}:{times}"]) for point in TARGETS]
    issue_first([chain.fleet for chain in chains])
    for chain, ended in zip(chains, kill_all_along(chains), strict=True):
        assert ended["state"] == "COMPLETED", (chain.points, ended)
        chain.assert_whole(ended, orphans=0)


STEPS = 5 + 3 * 3
"""Key, order, authorize, finalize and issued; stage, switch and verify on each of three targets."""


@pytest.mark.parametrize("point", ["journal.begun", "journal.finished"])
def test_a_worker_is_killed_at_every_intent_and_at_every_outcome(
    fleets: Callable[..., Fleet], softhsm: Token, point: str
) -> None:
    """Five renewals at a time, for all steps: each is the first worker's n-th."""
    batches = [range(1, STEPS + 1)[start : start + 5] for start in range(0, STEPS, 5)]
    places = [fleets(token=softhsm).build() for _ in batches[0]]
    issue_first(places)
    for batch in batches:
        chains = [Chain(fleet, [f"{point}:{n}"]) for fleet, n in zip(places, batch, strict=False)]
        for chain, ended in zip(chains, kill_all_along(chains), strict=True):
            assert ended["state"] == "COMPLETED", (chain.points, ended)
            chain.assert_whole(ended, orphans=0)
            chain.fleet.workers[-1].stop()


def test_a_worker_is_killed_twice_at_each_point_of_a_chain(
    fleets: Callable[..., Fleet], softhsm: Token
) -> None:
    """Also where the second one finds what the first has left, and so does not come by there: at the next intent."""
    chains = [
        Chain(fleets(token=softhsm).build(**DESTROYING), _twice(points)) for points in (FIRST, SECOND, THIRD)
    ]
    issue_first([chain.fleet for chain in chains])
    for chain, ended in zip(chains, kill_all_along(chains), strict=True):
        assert ended["state"] == "COMPLETED", (chain.points, ended)
        chain.assert_whole(ended, orphans=chain.killed.count("order.placed"))


def _twice(points: Sequence[str]) -> list[str]:
    """After the last point of all there is no intent any more."""
    each_twice = [each for point in points for each in (point, "journal.begun")]
    return each_twice[:-1] if points[-1] == "renewal.retired" else each_twice

"""The statistics: percentiles that were really measured, ratios of rounds, fair turns."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import samples
from benchmarks.samples import Samples

DURATIONS = st.lists(st.floats(min_value=1e-6, max_value=1e3), min_size=1, max_size=50)


@given(DURATIONS, st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_the_least_measured_value_that_covers_its_share(
    values: list[float], share: float
) -> None:
    found = samples.percentile(values, share)
    needed = math.ceil(share * len(values))
    assert found in values
    assert sum(value <= found for value in values) >= needed
    assert sum(value < found for value in values) < needed


def test_percentiles_of_a_hundred_are_their_ranks() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [samples.percentile(values, share) for share in (0.50, 0.95, 0.99)] == [50, 95, 99]


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        samples.percentile([], 0.5)


def test_a_ratio_is_taken_round_by_round_so_a_drift_of_both_sides_is_no_ratio() -> None:
    ours, bare = [10.0, 5.0, 1.0], [20.0, 10.0, 2.0]
    assert samples.ratio(ours, bare) == 0.5
    assert samples.spread(ours, bare) == (0.5, 0.5)


def test_one_disturbed_round_does_not_decide_a_ratio() -> None:
    assert samples.ratio([1.0, 1.0, 90.0], [1.0, 1.0, 1.0]) == 1.0


def test_sides_with_different_numbers_of_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        samples.ratio([1.0, 1.0], [1.0])


@given(st.integers(1, 5), st.integers(1, 30))
def test_everybody_runs_once_a_round_and_begins_as_often_as_the_others(players: int, rounds: int) -> None:
    names = [f"variant-{number}" for number in range(players)]
    turns = list(samples.turns(names, rounds))
    assert all(sorted(turn) == names for turn in turns)
    first = [sum(turn[0] == name for turn in turns) for name in names]
    assert max(first) - min(first) <= 1


def test_rounds_add_up() -> None:
    every = Samples()
    every.add(Samples([0.1, 0.2], elapsed=0.2, errors=1))
    every.add(Samples([0.3], elapsed=0.3))
    assert every.summary() == {
        "ops_per_s": 6.0,
        "p50_ms": 200.0,
        "p95_ms": 300.0,
        "p99_ms": 300.0,
        "errors": 1,
    }


def test_where_nothing_succeeded_there_are_errors_and_no_percentiles() -> None:
    summary = Samples(errors=3).summary()
    assert summary == {"ops_per_s": 0.0, "p50_ms": None, "p95_ms": None, "p99_ms": None, "errors": 3}

"""Every target is in exactly one wave, in order, and no wave is larger than its size."""

from hypothesis import given
from hypothesis import strategies as st

from rules.patience import REFUSED_PATIENCE_S, attempts_within, still_patient, worth_waiting
from rules.waves import waves
from schemas.settings.dependencies import BreakerSettings

names = st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=30)
sizes = st.lists(st.integers(1, 10), min_size=1, max_size=5)


@given(names, sizes)
def test_every_target_is_in_exactly_one_wave_in_order(targets: list[str], wanted: list[int]) -> None:
    cut = waves(targets, wanted)
    assert [name for wave in cut for name in wave] == targets


@given(names, sizes)
def test_no_wave_is_empty_or_too_large_and_the_last_size_repeats(
    targets: list[str], wanted: list[int]
) -> None:
    cut = waves(targets, wanted)
    for turn, wave in enumerate(cut):
        size = wanted[min(turn, len(wanted) - 1)]
        assert 1 <= len(wave) <= size
        if turn < len(cut) - 1:
            assert len(wave) == size


@given(st.floats(0, 100_000), st.floats(0, 100_000))
def test_more_patience_never_means_fewer_attempts(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert 1 <= attempts_within(less) <= attempts_within(more)


def test_patience_is_the_sum_of_the_pauses() -> None:
    assert attempts_within(0.5) == 1
    assert attempts_within(1) == 2  # a pause of 1 s, then the second attempt
    assert attempts_within(3) == 3
    assert attempts_within(1 + 2 + 4 + 8 + 16 + 30) == 7


@given(waited=st.integers(0, 10_000), patience=st.integers(0, 10_000))
def test_who_asks_us_to_come_back_later_is_waited_for_within_the_patience(waited: int, patience: int) -> None:
    left = patience - waited
    assert worth_waiting(waited, left, patience)
    assert not worth_waiting(waited, left + 1, patience)


@given(spent=st.floats(0, 10_000), patience=st.floats(0, 10_000))
def test_refusals_alone_end_no_step_before_its_patience_nor_before_a_breaker_was_asked_twice(
    spent: float, patience: float
) -> None:
    assert still_patient(spent, patience) == (spent < patience or spent < REFUSED_PATIENCE_S)
    assert 2 * BreakerSettings().open_s < REFUSED_PATIENCE_S

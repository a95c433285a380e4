"""IDs of operations: the RFC's vector, and that later ones sort later whatever the clock does."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from rules.ids import _Sequence, made_at, operation_id, uuid7


def test_the_rfcs_vector() -> None:
    rand_a, rand_b = 0xCC3, 0x18C4DC0C0C07398F
    made = uuid7(0x017F22E279B0, rand_a << 30 | rand_b >> 32, rand_b & 0xFFFFFFFF)
    assert made == uuid.UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")
    assert made.version == 7
    assert made_at(str(made)) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2, max_size=50))
def test_sorts_by_making_even_when_the_clock_goes_back(clock: list[int]) -> None:
    sequence = _Sequence()
    made = [str(sequence.next(now)) for now in clock]
    assert made == sorted(set(made))


def test_threads_get_different_ones() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: operation_id(), range(5_000)))
    assert len(set(made)) == len(made)

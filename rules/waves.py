"""Which targets change together.

Invariants: every target is in exactly one wave, in the order given; a wave is never larger than its size says;
no wave is empty; the last size repeats.
"""

from collections.abc import Iterator, Sequence


def waves(targets: Sequence[str], sizes: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    return tuple(_cut(list(targets), sizes))


def _cut(left: list[str], sizes: Sequence[int]) -> Iterator[tuple[str, ...]]:
    turn = 0
    while left:
        size = sizes[min(turn, len(sizes) - 1)]
        yield tuple(left[:size])
        left = left[size:]
        turn += 1

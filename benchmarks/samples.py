"""Durations of operations, and what is said of them: operations/s, percentiles, ratios of alternating runs.

Percentiles are nearest-rank: each is a duration that was really measured. A ratio is the median of the ratios of
the rounds: both sides of a round ran within a second or two of each other, so a machine that drifts, or that others
use, moves both.
"""

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Samples:
    seconds: list[float] = field(default_factory=list)
    """One duration an operation that succeeded."""
    elapsed: float = 0.0
    """How long it took to do them all, side by side or in turn."""
    errors: int = 0

    def add(self, other: Self) -> None:
        """Another round of the same operation."""
        self.seconds.extend(other.seconds)
        self.elapsed += other.elapsed
        self.errors += other.errors

    @property
    def per_second(self) -> float:
        return len(self.seconds) / self.elapsed if self.elapsed else 0.0

    def summary(self) -> dict[str, float | None]:
        """The percentiles are None where nothing succeeded."""
        shares = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}
        slow = {
            key: round(1000 * percentile(self.seconds, share), 4) if self.seconds else None
            for key, share in shares.items()
        }
        return {"ops_per_s": round(self.per_second, 2), **slow, "errors": self.errors}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    if not values:
        raise ValueError("no values, no percentile")
    rank = max(1, math.ceil(share * len(values)))
    return sorted(values)[rank - 1]


def ratio(of: Sequence[float], over: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(of, over, strict=True))


def spread(of: Sequence[float], over: Sequence[float]) -> tuple[float, float]:
    """The quartiles of the rounds' ratios: how far the median can be trusted."""
    ratios = [a / b for a, b in zip(of, over, strict=True)]
    return percentile(ratios, 0.25), percentile(ratios, 0.75)


def turns(names: Sequence[str], rounds: int) -> Iterator[tuple[str, ...]]:
    """Who runs when: each round has everybody once, and another one begins it."""
    for round_number in range(rounds):
        first = round_number % len(names)
        yield (*names[first:], *names[:first])

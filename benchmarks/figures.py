"""What a benchmark promises to print: its keys, what each means, and the bar that a figure is held to.

- A key with a bar that a run does not bring is missed, not passed over: what was not measured was not met.
- A part that can't be measured here takes only its own figures with it; the others are measured.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.samples import Samples

Comparison = Literal["at most", "at least", "exactly"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Bar:
    comparison: Comparison
    value: float

    def met_by(self, measured: float) -> bool:
        match self.comparison:
            case "at most":
                return measured <= self.value
            case "at least":
                return measured >= self.value
            case "exactly":
                return measured == self.value

    def __str__(self) -> str:
        return f"{self.comparison} {self.value:g}"


@dataclass(frozen=True)
class Figure:
    key: str
    meaning: str
    unit: str = ""
    bar: Bar | None = None


@dataclass(frozen=True)
class Measured:
    """What one part of a benchmark has found."""

    values: Mapping[str, float]
    """By key: the figures that the part declares."""
    samples: Samples
    """The operations of ours that were timed, for operations/s, p50, p95, p99 and errors."""
    peak_rss_mib: float
    """Of the process that did the work."""
    aside: Mapping[str, float] = field(default_factory=dict)
    """What helps to judge the figures: the peers' own numbers, the spread."""


@dataclass(frozen=True)
class Part:
    name: str
    operation: str
    """What one timed operation is, for people."""
    figures: tuple[Figure, ...]
    measure: Callable[[Say], Measured]


@dataclass(frozen=True)
class Benchmark:
    name: str
    parts: tuple[Part, ...]
    main: str
    """The part whose operations stand at the top of the result."""

    def chosen(self, names: Sequence[str]) -> tuple[Part, ...]:
        """Raises `KeyError` with the name of a part that there is not."""
        known = {part.name: part for part in self.parts}
        return tuple(known[name] for name in names) if names else self.parts


def missed(parts: Sequence[Part], values: Mapping[str, float]) -> list[str]:
    """Each bar that was not met, in words."""
    figures = (figure for part in parts for figure in part.figures)
    return [words for figure in figures if (words := _miss(figure, values.get(figure.key)))]


def _miss(figure: Figure, measured: float | None) -> str:
    if figure.bar is None:
        return ""
    if measured is None:
        return f"{figure.key} was not measured; its bar is {figure.bar}"
    if figure.bar.met_by(measured):
        return ""
    return f"{figure.key} is {measured:g}; its bar is {figure.bar}"

"""How a run is told: a table for people on stderr, one JSON object on the last line of stdout for programs."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.figures import Benchmark, Measured, Part, missed
from workflows.failures import words_of


def result(
    benchmark: Benchmark, found: Mapping[str, Measured], failed: Mapping[str, Exception]
) -> dict[str, Any]:
    """The figures at the top, with the main part's operations; each part's own numbers below `parts`."""
    main = found.get(benchmark.main)
    return {
        "benchmark": benchmark.name,
        **(_operations(main) if main else {}),
        **values_of(found),
        "parts": {
            name: {**_operations(measured), **dict(measured.aside)} for name, measured in found.items()
        },
        "failed": {name: _why(error) for name, error in failed.items()},
        "machine": machine(),
    }


def values_of(found: Mapping[str, Measured]) -> dict[str, float]:
    return {key: value for measured in found.values() for key, value in measured.values.items()}


def _operations(measured: Measured) -> dict[str, float | None]:
    return {**measured.samples.summary(), "peak_rss_mib": measured.peak_rss_mib}


def machine() -> dict[str, Any]:
    """What the figures depend on. The load says whether the machine was ours alone."""
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load_1m": round(os.getloadavg()[0], 2),
    }


def last_line(document: Mapping[str, Any]) -> str:
    """JSON has no NaN: a figure that is none is a fault of the benchmark, and stops here."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False)


def table(parts: Sequence[Part], found: Mapping[str, Measured], failed: Mapping[str, Exception]) -> str:
    values = values_of(found)
    rows = [("figure", "measured", "bar", "", "what it is")]
    for part in parts:
        for figure in part.figures:
            measured = values.get(figure.key)
            shown = "–" if measured is None else f"{measured:g} {figure.unit}".strip()
            verdict = (
                "" if figure.bar is None else ("missed" if missed([_alone(part, figure)], values) else "met")
            )
            rows.append((figure.key, shown, str(figure.bar or ""), verdict, figure.meaning))
    operations: list[tuple[str, ...]] = [
        ("part", "operations/s", "p50 ms", "p95 ms", "p99 ms", "errors", "peak MiB", "operation")
    ]
    for part in parts:
        if part.name in found:
            shown_part = _operations(found[part.name])
            numbers = ("–" if number is None else f"{number:g}" for number in shown_part.values())
            operations.append((part.name, *numbers, part.operation))
    failures = [f"{name} could not be measured: {_why(error)}" for name, error in failed.items()]
    return "\n".join([*_aligned(rows), "", *_aligned(operations), *failures])


def _why(error: Exception) -> str:
    """A run that failed says why only in its causes."""
    return f"{type(error).__name__}: {words_of(error)}"


def _alone(part: Part, figure: Any) -> Part:
    return Part(part.name, part.operation, (figure,), part.measure)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]

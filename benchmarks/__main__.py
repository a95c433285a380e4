"""`python -m benchmarks NAME` measures and prints; `--json`, `--bars` and `--part NAME` as `--help` says.

The table and the progress go to stderr. With `--json` the last line of stdout is one JSON object. Exit codes: 0 all
was measured (and with `--bars` met); 1 the benchmark itself broke; 2 usage; 3 a part could not be measured; 4 with
`--bars`, a bar was missed, and stderr names it.
"""

import argparse
import importlib
import pkgutil
import sys
import time
import traceback
from collections.abc import Sequence

import benchmarks
from benchmarks import processes, report
from benchmarks.figures import Benchmark, Measured, Part, missed
from cli.output import ExitCode
from schemas.errors import DependencyUnavailable


def names() -> list[str]:
    """A benchmark is a package here; the modules beside them are the harness."""
    return sorted(found.name for found in pkgutil.iter_modules(benchmarks.__path__) if found.ispkg)


def load(name: str) -> Benchmark:
    benchmark: Benchmark = importlib.import_module(f"benchmarks.{name}").BENCHMARK
    return benchmark


def run(benchmark: Benchmark, parts: Sequence[Part], *, as_json: bool, bars: bool) -> ExitCode:
    found, failed = _measure(parts)
    print(f"\n{report.table(parts, found, failed)}\n", file=sys.stderr)
    misses = missed(parts, report.values_of(found)) if bars else []
    for miss in misses:
        print(f"bar missed: {miss}", file=sys.stderr)
    if as_json:
        print(report.last_line(report.result(benchmark, found, failed)), flush=True)
    if any(not isinstance(why, DependencyUnavailable) for why in failed.values()):
        return ExitCode.FAILED
    if misses:
        return ExitCode.VERIFICATION
    return ExitCode.SKIPPED if failed else ExitCode.OK


def _measure(parts: Sequence[Part]) -> tuple[dict[str, Measured], dict[str, Exception]]:
    found: dict[str, Measured] = {}
    failed: dict[str, Exception] = {}
    began = time.monotonic()

    def say(words: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {words}", file=sys.stderr, flush=True)

    for part in parts:
        say(f"{part.name} …")
        processes.forget_peak()
        try:
            found[part.name] = part.measure(say)
        except DependencyUnavailable as missing:
            failed[part.name] = missing
        except Exception as broken:  # noqa: BLE001 - minutes of other parts' figures must not be lost with it
            failed[part.name] = broken
            traceback.print_exc()
    return found, failed


def main(arguments: Sequence[str] | None = None) -> ExitCode:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure, and hold to the bars."
    )
    parser.add_argument("name", metavar="NAME", choices=names(), help=f"one of: {', '.join(names())}")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line of stdout")
    parser.add_argument("--bars", action="store_true", help="exit with 4 when a bar is missed")
    parser.add_argument("--part", action="append", default=[], help="measure this part only; may be repeated")
    given = parser.parse_args(arguments)
    benchmark = load(given.name)
    try:
        parts = benchmark.chosen(given.part)
    except KeyError as unknown:
        parser.error(
            f"there is no part {unknown}; there are: {', '.join(part.name for part in benchmark.parts)}"
        )
    return run(benchmark, parts, as_json=given.json, bars=given.bars)


if __name__ == "__main__":
    sys.exit(main())

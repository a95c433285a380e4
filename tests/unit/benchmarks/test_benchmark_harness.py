"""The harness: bars, the JSON on the last line, what goes where, exit codes."""

import json
import os
import sys
import time
import types
from collections.abc import Callable, Mapping

import pytest

from benchmarks import __main__ as harness
from benchmarks import processes
from benchmarks.figures import Bar, Benchmark, Comparison, Figure, Measured, Part, Say, missed
from benchmarks.samples import Samples
from cli.output import ExitCode
from schemas.errors import DependencyUnavailable

Run = Callable[..., tuple[ExitCode, dict[str, object], str]]


def part(name: str, values: Mapping[str, float], *figures: Figure, raises: Exception | None = None) -> Part:
    def measure(say: Say) -> Measured:
        say(f"measuring {name}")
        if raises is not None:
            raise raises
        return Measured(values, Samples([0.001, 0.002, 0.003], elapsed=0.006), 12.5, {"peer_per_s": 700.0})

    return Part(name, f"one {name}", figures, measure)


SPEED = Figure("speed_ratio", "ours over the peer's", bar=Bar("at least", 0.9))
LOSS = Figure("lost", "how many were lost", bar=Bar("exactly", 0))
SIZE = Figure("size_mib", "how large it is", unit="MiB")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a made-up benchmark as the command line does; the exit code, the JSON, and what stderr got."""

    def command(parts: tuple[Part, ...], *arguments: str) -> tuple[ExitCode, dict[str, object], str]:
        module = types.ModuleType("benchmarks.made_up")
        module.BENCHMARK = Benchmark("made_up", parts, main=parts[0].name)  # type: ignore[attr-defined]  # made here
        monkeypatch.setitem(sys.modules, "benchmarks.made_up", module)
        monkeypatch.setattr(harness, "names", lambda: ["made_up"])
        code = harness.main(["made_up", *arguments])
        printed = capsys.readouterr()
        lines = printed.out.splitlines()
        return code, json.loads(lines[-1]) if lines else {}, printed.err

    return command


@pytest.mark.parametrize(
    ("comparison", "met", "not_met"),
    [("at most", (0.9, 1.0), (1.1,)), ("at least", (1.0, 1.1), (0.9,)), ("exactly", (1.0,), (0.9, 1.1))],
)
def test_a_bar_is_met_up_to_its_own_value(
    comparison: Comparison, met: tuple[float, ...], not_met: tuple[float, ...]
) -> None:
    bar = Bar(comparison, 1.0)
    assert all(bar.met_by(value) for value in met)
    assert not any(bar.met_by(value) for value in not_met)
    assert not bar.met_by(float("nan"))


def test_what_was_not_measured_was_not_met() -> None:
    assert missed([part("a", {}, SPEED, SIZE)], {}) == [
        "speed_ratio was not measured; its bar is at least 0.9"
    ]


def test_the_last_line_is_one_json_object_with_figures_operations_and_parts(run: Run) -> None:
    code, found, stderr = run(
        (part("main", {"speed_ratio": 0.95}, SPEED), part("other", {"lost": 0}, LOSS)), "--json"
    )
    assert code == ExitCode.OK
    assert found["benchmark"] == "made_up"
    assert (found["speed_ratio"], found["lost"]) == (0.95, 0)
    expected = {
        "ops_per_s": 500.0,
        "p50_ms": 2.0,
        "p95_ms": 3.0,
        "p99_ms": 3.0,
        "errors": 0,
        "peak_rss_mib": 12.5,
    }
    assert expected.items() <= found.items()
    assert found["parts"] == {name: {**expected, "peer_per_s": 700.0} for name in ("main", "other")}
    assert found["failed"] == {}
    assert "measuring other" in stderr
    assert "at least 0.9" in stderr


def test_without_json_nothing_goes_to_stdout(run: Run) -> None:
    code, found, stderr = run((part("main", {"speed_ratio": 0.95}, SPEED),))
    assert (code, found) == (ExitCode.OK, {})
    assert "speed_ratio" in stderr


def test_a_missed_bar_is_named_and_fails_where_bars_are_asked_for(run: Run) -> None:
    parts = (part("main", {"speed_ratio": 0.5, "lost": 2}, SPEED, LOSS),)
    code, found, stderr = run(parts, "--json", "--bars")
    assert code == ExitCode.VERIFICATION
    assert found["speed_ratio"] == 0.5
    assert "bar missed: speed_ratio is 0.5; its bar is at least 0.9" in stderr
    assert "bar missed: lost is 2; its bar is exactly 0" in stderr
    assert run(parts, "--json")[0] == ExitCode.OK


def test_met_bars_and_figures_without_a_bar_pass(run: Run) -> None:
    code, _, stderr = run((part("main", {"speed_ratio": 0.9, "size_mib": 1e9}, SPEED, SIZE),), "--bars")
    assert code == ExitCode.OK
    assert "bar missed" not in stderr


def test_a_part_that_cant_be_had_takes_only_its_own_figures_with_it(run: Run) -> None:
    parts = (
        part("main", {"speed_ratio": 0.95}, SPEED),
        part("web", {}, LOSS, raises=DependencyUnavailable("nginx is not installed.")),
    )
    code, found, stderr = run(parts, "--json")
    assert code == ExitCode.SKIPPED
    assert found["speed_ratio"] == 0.95
    assert "lost" not in found
    assert "nginx is not installed." in json.dumps(found["failed"])
    assert "web could not be measured" in stderr
    code, _, stderr = run(parts, "--bars")
    assert code == ExitCode.VERIFICATION
    assert "lost was not measured" in stderr


def test_a_part_that_breaks_fails_the_run_and_the_others_are_still_told(run: Run) -> None:
    parts = (part("broken", {}, raises=ValueError("a fault of its own")), part("other", {"lost": 0}, LOSS))
    code, found, stderr = run(parts, "--json")
    assert code == ExitCode.FAILED
    assert found["lost"] == 0
    assert found["failed"] == {"broken": "ValueError: a fault of its own"}
    assert "Traceback" in stderr


def test_a_figure_that_is_no_number_stops_before_it_is_printed(run: Run) -> None:
    with pytest.raises(ValueError, match="JSON"):
        run((part("main", {"speed_ratio": float("nan")}, SPEED),), "--json")


def test_one_part_alone_is_measured_and_judged_alone(run: Run) -> None:
    parts = (part("main", {"speed_ratio": 0.1}, SPEED), part("other", {"lost": 0}, LOSS))
    code, found, _ = run(parts, "--json", "--bars", "--part", "other")
    assert code == ExitCode.OK
    assert list(found["parts"]) == ["other"]  # type: ignore[call-overload]  # JSON


@pytest.mark.parametrize("arguments", [["nonsense"], [], ["made_up", "--part", "nonsense"]])
def test_what_there_is_not_is_a_usage_error(run: Run, arguments: list[str]) -> None:
    run((part("main", {"speed_ratio": 0.95}, SPEED),))
    with pytest.raises(SystemExit) as ended:
        harness.main(arguments)
    assert ended.value.code == ExitCode.USAGE


def test_the_benchmarks_are_found_and_the_harness_is_none_of_them() -> None:
    assert harness.names() == ["certificates", "platform"]


def test_this_process_has_memory_and_one_that_is_gone_has_not() -> None:
    assert processes.peak_mib() >= processes.resident_mib() > 1
    with pytest.raises(ProcessLookupError):
        processes.resident_mib(2**22 + 1)


def test_the_cpu_time_of_a_process_is_what_it_says_of_itself() -> None:
    at_least = time.process_time()
    assert processes.cpu_seconds(os.getpid()) >= at_least - 0.05

"""The benchmark `certificates`: its keys and bars, and that a CA which has stopped issuing is noticed and replaced."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.certificates import BENCHMARK
from benchmarks.certificates.stalls import (
    LOOK_EVERY_S,
    STILL_S,
    TRIES,
    CaStalledError,
    IssuanceWatch,
    with_a_ca_that_issues,
)
from schemas.errors import DependencyUnavailable

BARS = {
    "ratio_certbot": "at least 10",
    "ratio_acme_loop": "at least 0.3",
    "failed_handshakes_rotation": "exactly 0",
    "failed_handshakes_rollback": "exactly 0",
    "handshake_p95_ms": "at most 50",
    "handshake_resumed_p95_ms": "at most 50",
}
WITHOUT_BAR = {"events_per_certificate", "per_minute_10", "per_minute_100", "per_minute_1000"}


def test_its_keys_and_bars() -> None:
    figures = [figure for part in BENCHMARK.parts for figure in part.figures]
    assert {figure.key: str(figure.bar) for figure in figures if figure.bar} == BARS
    assert {figure.key for figure in figures if not figure.bar} == WITHOUT_BAR
    assert BENCHMARK.main in {part.name for part in BENCHMARK.parts}


class Watched:
    """A CA's log, and a clock that goes on only when the test says so."""

    def __init__(self, log: Path) -> None:
        self.log, self.now = log, 0.0
        log.touch()
        self.watch = IssuanceWatch(log, lambda: self.now)

    def issue(self) -> None:
        with self.log.open("a") as log:
            log.write("Issued certificate serial 1\n")

    def look(self, after_s: float) -> None:
        self.now += after_s
        self.watch.check()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path / "log")


def test_a_ca_that_issues_now_and_then_is_left_alone(watched: Watched) -> None:
    for _ in range(10):
        watched.look(STILL_S)
        watched.issue()
        watched.look(LOOK_EVERY_S)


def test_a_ca_that_has_issued_nothing_for_long_has_stalled(watched: Watched) -> None:
    watched.issue()
    watched.look(LOOK_EVERY_S)
    watched.look(STILL_S)
    with pytest.raises(CaStalledError, match="after 1 certificates"):
        watched.look(LOOK_EVERY_S)


def test_its_log_is_not_read_at_every_look(watched: Watched) -> None:
    watched.look(LOOK_EVERY_S)
    watched.log.unlink()
    watched.look(LOOK_EVERY_S / 2)
    with pytest.raises(FileNotFoundError):
        watched.look(LOOK_EVERY_S / 2)


def _stalling(times: int) -> Iterator[str]:
    for _ in range(times):
        yield ""
    yield "measured"


def _once(results: Iterator[str]) -> str:
    result = next(results)
    if not result:
        raise CaStalledError("it stands still")
    return result


def test_what_was_measured_of_a_ca_that_stalled_is_thrown_away_and_counted() -> None:
    said: list[str] = []
    results = _stalling(2)
    assert with_a_ca_that_issues(lambda: _once(results), said.append) == ("measured", 2)
    assert len(said) == 2
    assert "it stands still" in said[0]


def test_after_several_that_stalled_it_is_given_up() -> None:
    results = _stalling(TRIES)
    with pytest.raises(DependencyUnavailable):
        with_a_ca_that_issues(lambda: _once(results), lambda _: None)

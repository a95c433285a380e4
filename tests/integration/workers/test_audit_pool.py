"""The audit pool needs no Temporal: it moves what was recorded into the signed log, and stops on one that is broken."""

import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.dev.process import free_port
from schemas.evidence import Entry, Event, Kind
from store.spool import Spooled
from tests.integration.workers.installation import Installation, Running, install


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    return install(tmp_path, f"127.0.0.1:{free_port()}")


@pytest.fixture
def audit(made: Installation) -> Iterator[Running]:
    running = made.worker("audit", module="cli.main")
    yield running
    running.child.kill()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline


def note(number: int) -> Entry:
    return Entry(
        operation=f"test-{number}",
        step="noted",
        kind=Kind.NOTE,
        what=Event.SWEEP_DECIDED,
        subject="www",
        who="test",
        at=datetime.now(UTC),
    )


def test_what_is_recorded_and_what_was_spooled_moves_into_the_log(made: Installation, audit: Running) -> None:
    made.wiring.spool().append(Spooled(entry=note(1)))
    made.wiring.journal().note(note(2))
    audit.start()
    until(lambda: made.wiring.log().size() == 2)
    made.wiring.journal().note(note(3))
    until(lambda: made.wiring.log().size() == 3)
    assert made.wiring.log().checkpoint()
    assert not made.wiring.spool().waiting()

    audit.child.signal(signal.SIGTERM)
    assert audit.child.wait(30) == 0


def test_a_log_that_does_not_verify_ends_the_process_with_a_failure(
    made: Installation, audit: Running
) -> None:
    """The log was signed by another key: nothing may be signed on top of it."""
    made.wiring.journal().note(note(1))
    made.wiring.log().sequence()
    made.secret("log-key", "5a" * 16 + "c3" * 16)
    audit.child.start()
    assert audit.child.wait(30) == 1
    assert any("EvidenceBroken" in line.get("exception", "") for line in audit.said())

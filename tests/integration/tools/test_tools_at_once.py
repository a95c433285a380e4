"""Real processes that get the same tool at once, and one that is killed in the middle of a build."""

import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.unit.tools.made_up import eventually, pretending

_GO = """
to=; previous=
for argument; do [ "$previous" = -o ] && to=$argument; previous=$argument; done
/bin/mkdir -p "$to"
printf '#!/bin/sh\\n' > "$to/made-up"
echo $$ >> builds
while [ ! -e go-on ]; do /bin/sleep 0.05; done
printf 'echo made-up 2.0\\n' >> "$to/made-up"
"""


@dataclass
class Machine:
    folder: pathlib.Path

    def start(self) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": str(self.folder / "programs"),
            "HOME": str(self.folder),
            "REDOUBT_CACHE": str(self.folder / "cache"),
            **{name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")},
        }
        argv = [sys.executable, "-m", "tests.integration.tools.installing", str(self.folder / "recipes")]
        return subprocess.Popen(
            argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def builds(self) -> list[str]:
        """Of each build that was begun, its process."""
        log = self.folder / "recipes" / "made-up" / "builds"
        return log.read_text().split() if log.exists() else []

    def let_builds_finish(self) -> None:
        (self.folder / "recipes" / "made-up" / "go-on").touch()

    def is_waiting(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether it has the lock's file open, which the builder holds."""
        open_files = pathlib.Path("/proc", str(process.pid), "fd")
        lock = self.folder / "cache" / "locks" / "made-up"
        return any(os.path.realpath(file) == str(lock) for file in open_files.iterdir())

    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "cache" / "tools" / "made-up").iterdir())


@pytest.fixture
def machine(tmp_path: pathlib.Path) -> Iterator[Machine]:
    for folder in ("programs", "recipes/made-up"):
        (tmp_path / folder).mkdir(parents=True)
    pretending(tmp_path / "programs")("go", _GO)
    made = Machine(tmp_path)
    yield made
    made.let_builds_finish()  # a test that failed leaves none behind


def _result(process: subprocess.Popen[bytes]) -> dict[str, object]:
    answer, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    outcome: dict[str, object] = json.loads(answer)
    return outcome


def test_two_processes_build_it_once(machine: Machine) -> None:
    one, other = machine.start(), machine.start()
    eventually(lambda: len(machine.builds()) == 1)
    machine.let_builds_finish()
    results = [_result(one), _result(other)]
    assert sorted(str(result["status"]) for result in results) == ["installed", "present"]
    assert results[0]["where"] == results[1]["where"]
    assert len(machine.builds()) == 1
    assert machine.kept() == ["2.0"]


def test_a_kill_in_the_middle_keeps_nothing_and_the_next_one_gets_it(machine: Machine) -> None:
    killed = machine.start()
    eventually(lambda: len(machine.builds()) == 1)
    killed.kill()
    killed.communicate(timeout=20)
    (left,) = machine.kept()
    assert left.startswith(".unfinished-")
    second = machine.start()
    eventually(lambda: len(machine.builds()) == 2)
    machine.let_builds_finish()
    assert _result(second)["status"] == "installed"
    assert machine.kept() == ["2.0"]
    eventually(lambda: not pathlib.Path("/proc", machine.builds()[0]).exists())


def test_who_interrupts_it_need_not_wait(machine: Machine) -> None:
    builder = machine.start()
    eventually(lambda: len(machine.builds()) == 1)
    waiter = machine.start()
    eventually(lambda: machine.is_waiting(waiter))
    for process in (waiter, builder):
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode != 0
        assert errors.decode().endswith("KeyboardInterrupt\n")
    assert len(machine.builds()) == 1
    assert machine.kept() == []

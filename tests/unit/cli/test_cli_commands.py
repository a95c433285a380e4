"""Every command explains itself, loads only when it is called, and is documented."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.main import COMMANDS, EPILOG, load
from cli.output import ExitCode
from tests.unit.cli.conftest import Redoubt

ROOT = Path(__file__).parents[3]


def _paths(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from _paths(below, (*path, name))


ALL = [path for name in COMMANDS for path in _paths(load(name), (name,))]


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_command_explains_itself(path: tuple[str, ...], redoubt: Redoubt) -> None:
    said = redoubt(*path, "--help")
    assert said.code == ExitCode.OK
    assert "Usage: redoubt " + " ".join(path) in said.out


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_each_command_is_in_the_documentation(path: tuple[str, ...]) -> None:
    assert f"`redoubt {' '.join(path)}" in (ROOT / "docs" / "cli.md").read_text()


def test_the_help_names_every_command_and_every_exit_code(redoubt: Redoubt) -> None:
    said = redoubt("--help")
    assert all(f"│ {name} " in said.out for name in COMMANDS)
    words = " ".join(said.out.split())
    assert all(f"{code.value} " in words for code in ExitCode)
    assert all(f"{code.value} " in EPILOG for code in ExitCode)


def test_the_help_loads_nothing_of_ours_and_no_heavy_library() -> None:
    script = (
        "import sys; from cli.main import run; run(['--help']); "
        "ours = {'schemas', 'rules', 'clients', 'store', 'workers', 'workflows', 'activities'}; "
        "heavy = {'pydantic', 'temporalio', 'sqlalchemy', 'cryptography', 'yaml', 'httpx'}; "
        "sys.exit(' '.join(sorted((ours | heavy) & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, cwd=ROOT, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_mistyped_command_is_answered_with_the_nearest(redoubt: Redoubt) -> None:
    said = redoubt("strat")
    assert said.code == ExitCode.USAGE
    assert "Did you mean 'start'" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("workers", "run", "certs"), "There is no pool 'certs'; there are: certificates, audit."),
        (("list", "-o", "yaml"), "'yaml' is not one of 'text', 'json', 'jsonl'."),
        (("tools", "install", "nothing"), "has no 'nothing'."),
        (
            ("list",),
            "`redoubt init` makes one; of a stack of `redoubt dev` it is found after `. .redoubt-dev/env`",
        ),
    ],
    ids=["unknown pool", "wrong format", "unknown tool", "no settings file"],
)
def test_a_mistake_is_told_in_words_before_anything_is_looked_for(
    redoubt: Redoubt, words: tuple[str, ...], told: str
) -> None:
    said = redoubt(*words)
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert told in said.err
    assert "Value error" not in said.err


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_the_help_breaks_its_lines_at_the_terminals_edge_only(
    path: tuple[str, ...], redoubt: Redoubt
) -> None:
    command = load(path[0])
    for name in path[1:]:
        command = command.commands[name]
    assert all("\n" not in paragraph for paragraph in (command.help or "").split("\n\n"))
    assert "[[" not in redoubt(*path, "--help").out


def test_no_command_shows_the_help(redoubt: Redoubt) -> None:
    said = redoubt()
    assert said.code == ExitCode.USAGE
    assert "Usage: redoubt" in said.out


def test_the_version_is_printed(redoubt: Redoubt) -> None:
    said = redoubt("--version")
    assert said.code == ExitCode.OK
    assert said.out.startswith("redoubt")

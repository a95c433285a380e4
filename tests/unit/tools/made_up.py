"""A tool that is in no table and on no machine, ways to get it, and progress that remembers."""

import pathlib
import threading
import time
from collections.abc import Callable
from typing import Any

from clients.tools.installer import Outcome
from clients.tools.table import Tool
from clients.tools.way import Say, Unobtainable

Pretend = Callable[[str, str], pathlib.Path]


def pretending(folder: pathlib.Path) -> Pretend:
    """Puts programs into a folder: a name, and the body of a shell script."""

    def put(name: str, body: str) -> pathlib.Path:
        program = folder / name
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        return program

    return put


def tool(*ways: dict[str, Any], **other: Any) -> Tool:
    """One program, `made-up`, of which we want 2.0 and take 1.5, and the ways to get it."""
    row: dict[str, Any] = {
        "name": "made-up",
        "version": "2.0",
        "minimum": "1.5",
        "files": [{"name": "made-up"}],
        "ask": {"argv": ["--version"], "pattern": r"made-up (\d+(?:\.\d+)+)"},
        "without": "nothing is made up",
        "chapter": "certificates",
        "needed_by": ["demo"],
        "ways": ways,
    }
    return Tool.model_validate({**row, **other})


APT = {"way": "apt", "packages": ["made-up"]}
GO = {"way": "go", "module": "made-up", "packages": ["example.invalid/made-up"]}


class Heard:
    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []
        self.outcomes: list[Outcome] = []

    def doing(self, tool: str, what: str) -> None:
        self.said.append((tool, what))

    def done(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Gives:
    """A way that works: it writes a program that tells its version."""

    def __init__(self, *, heavy: bool = False, version: str = "2.0") -> None:
        self.heavy = heavy
        self.calls = 0
        self._body = f"#!/bin/sh\necho made-up {version}\n"

    def get(self, _recipe: object, tool: Tool, into: pathlib.Path, _say: Say) -> None:
        self.calls += 1
        (into / "bin").mkdir()
        (into / "bin" / tool.files[0].name).write_text(self._body)


class Fails:
    """A way that leaves half of something behind and gives up."""

    heavy = False

    def get(self, _recipe: object, _tool: Tool, into: pathlib.Path, _say: Say) -> None:
        (into / "half").write_text("half")
        raise Unobtainable("the moon is full")


class Waits(Gives):
    """A way that works once it is let go."""

    def __init__(self, *, heavy: bool = False) -> None:
        super().__init__(heavy=heavy)
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def get(self, recipe: object, tool: Tool, into: pathlib.Path, say: Say) -> None:
        self.begun.set()
        assert self.let_go.wait(20)
        super().get(recipe, tool, into, say)


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until it holds; fail if it does not within 20 seconds."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)

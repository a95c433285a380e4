"""The command as people run it, in this process: arguments in; exit code, stdout and stderr out."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli import failures
from cli.main import run


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Redoubt = Callable[..., Said]


@pytest.fixture
def redoubt(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Redoubt:
    """Nothing of the machine's own settings or state is read or written."""
    for name in ("REDOUBT_CONFIG", "REDOUBT_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(
        failures, "correlation_id", failures.correlation_id
    )  # a command may take its caller's
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Said:
        monkeypatch.setenv("REDOUBT_DEBUG", "")
        capsys.readouterr()
        code = run(arguments)
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call

"""A target's command is bounded in time, output and what it gets to know."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from clients.targets import commands
from schemas.errors import ReloadFailed


def python(program: str, *words: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", program, *words)


def test_it_runs_without_a_shell_and_without_our_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET", "canary")
    note = tmp_path / "note"
    program = (
        "import json, os, sys; open(sys.argv[1], 'w').write(json.dumps([sys.argv[2:], sorted(os.environ)]))"
    )
    commands.run("web-1", "reload", python(program, str(note), "$(id); *"), 20)
    words, names = json.loads(note.read_text())
    assert words == ["$(id); *"]
    assert set(names) <= {"PATH", "LANG", "LC_CTYPE"}


def test_a_failure_is_told_with_the_last_words_only() -> None:
    program = "import sys; print('x' * 100_000); print('first\\x1b[31m', flush=True); sys.exit('second\\n')"
    with pytest.raises(ReloadFailed, match=r"web-1.*reload.*exit code 1.*first\[31m / second\.") as failed:
        commands.run("web-1", "reload", python(program), 20)
    assert len(str(failed.value)) < 800


def test_a_program_that_says_nothing_and_one_that_is_not_there() -> None:
    with pytest.raises(ReloadFailed, match="it last said: nothing"):
        commands.run("web-1", "reload", python("raise SystemExit(3)"), 20)
    with pytest.raises(ReloadFailed, match="No such file"):
        commands.run("web-1", "reload", ("/nowhere/nginx",), 20)


class Clock:
    """Stands still until a note is there, and for one look longer: what was said before it is heard."""

    def __init__(self, note: Path) -> None:
        self._note, self._seen = note, False

    def monotonic(self) -> float:
        seen, self._seen = self._seen, self._note.exists()
        return 3600.0 if seen else 0.0


def test_one_that_hangs_is_killed_with_all_that_it_has_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "child"
    monkeypatch.setattr(commands, "time", Clock(note))
    program = (
        "import os, subprocess, sys, time;"
        "child = subprocess.Popen(['sleep', '600']); print('waiting', flush=True);"
        "open(sys.argv[2], 'w').write(str(child.pid)); os.rename(sys.argv[2], sys.argv[1]); time.sleep(600)"
    )
    with pytest.raises(ReloadFailed, match=r"did not end within 5 s and was killed; it last said: waiting\."):
        commands.run("web-1", "reload", python(program, str(note), str(tmp_path / "draft")), 5)
    _gone(int(note.read_text()))


def test_one_that_leaves_a_child_with_its_output_is_not_waited_for(tmp_path: Path) -> None:
    note = tmp_path / "child"
    program = (
        "import subprocess, sys;"
        "child = subprocess.Popen(['sleep', '600']); open(sys.argv[1], 'w').write(str(child.pid))"
    )
    commands.run("web-1", "reload", python(program, str(note)), 60)
    os.kill(int(note.read_text()), signal.SIGKILL)


def test_one_that_closes_its_output_and_floods_before_is_waited_for(tmp_path: Path) -> None:
    note = tmp_path / "done"
    program = (
        "import os, sys, time; [os.write(1, b'x' * 65536) for _ in range(50)];"
        "os.close(1); os.close(2); time.sleep(0.3); open(sys.argv[1], 'w').close()"
    )
    commands.run("web-1", "reload", python(program, str(note)), 60)
    assert note.exists()


def _gone(pid: int) -> None:
    """Killed, though whoever inherits it may not have reaped it yet."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state == "Z":
            return
    pytest.fail("its child is still alive")

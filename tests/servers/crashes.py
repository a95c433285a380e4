"""A program in another process, killed at a named point."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rules.points import MARKER, POINT


def killed_at(point: str, folder: Path, program: str) -> None:
    """Run these lines of Python and kill their process at this point."""
    command_killed_at(point, folder, [sys.executable, "-c", program])


def command_killed_at(point: str, folder: Path, argv: Sequence[str], **environment: str) -> None:
    """Run the command until it stands still at this point, and kill it from outside (SIGKILL)."""
    marker = folder / "marker"
    env = {**os.environ, **environment, POINT: point, MARKER: str(marker)}
    with subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), f"it ended with {status} and never came to {point}"
        assert marker.read_text("ascii").split()[0] == point.partition(":")[0]
        process.kill()

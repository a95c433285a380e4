"""A program in another process, killed at a named point."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from rules import points


def killed_at(point: str, folder: Path, program: str) -> None:
    """Run it in another process and kill that at this point."""
    marker = folder / "marker"
    env = {**os.environ, points.POINT: point, points.MARKER: str(marker)}
    with subprocess.Popen([sys.executable, "-c", program], env=env) as process:
        deadline = time.monotonic() + 60
        while not marker.exists():
            assert process.poll() is None, "it ended without coming to the point"
            assert time.monotonic() < deadline, "it did not come to the point"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)

"""Run another program for a way: no shell, no stdin, a time limit, and its last words if it fails."""

import collections
import os
import pathlib
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence

from clients.tools.way import Unobtainable

_MAX_LINE = 4096
_LAST_WORDS = 3


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    cwd: pathlib.Path | None = None,
    env: Mapping[str, str] | None = None,
    heard: Callable[[str], None] = lambda _line: None,
) -> None:
    """Run it to its end, handing over each line that it prints. Raises `Unobtainable` if it fails."""
    try:
        program = subprocess.Popen(
            argv,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except OSError as error:
        raise Unobtainable(f"{argv[0]} can't be run: {error.strerror}") from error
    last: collections.deque[str] = collections.deque(maxlen=_LAST_WORDS)
    late = threading.Timer(timeout_s, program.kill)
    late.start()
    with program:
        try:
            for line in _lines(program):
                last.append(line)
                heard(line)
            program.wait()
        except BaseException:
            program.kill()
            raise
        finally:
            in_time = late.is_alive()
            late.cancel()
    if program.returncode:
        why = " / ".join(last) if in_time else f"stopped after {timeout_s:.0f} s"
        raise Unobtainable(f"`{argv[0]}` failed: {why or f'exit code {program.returncode}'}")


def _lines(program: subprocess.Popen[bytes]) -> collections.abc.Iterator[str]:
    if program.stdout is None:
        return
    while raw := program.stdout.readline(_MAX_LINE):
        line = raw.decode(errors="replace").strip()
        if line:
            yield line

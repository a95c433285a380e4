"""Run a target's own command: an argument list, in its own process group, for a bounded time, with bounded output.

Its environment is PATH and a locale, nothing of ours: a worker's environment may hold secrets. What a command
needs beyond that stands in its arguments: `[env, NAME=value, program, …]`.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import IO

from schemas.errors import ReloadFailed

_KEPT = 4096
_LINE = 300


def run(target: str, what: str, argv: Sequence[str], timeout_s: float) -> None:
    """Raises `ReloadFailed` with the last words that the command printed."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ReloadFailed(f"Target {target}: its {what} command can't be run ({error.strerror}).") from error
    with process:
        try:
            code, tail = _watch(process, time.monotonic() + timeout_s)
        except BaseException:
            # A cancelled attempt must leave no command behind that holds the target's lock.
            _kill_group(process)
            raise
    if code is None:
        raise ReloadFailed(
            f"Target {target}: its {what} command did not end within {timeout_s:g} s and was killed; "
            f"it last said: {_last_words(tail)}."
        )
    if code != 0:
        raise ReloadFailed(
            f"Target {target}: its {what} command failed with exit code {code}; "
            f"it last said: {_last_words(tail)}."
        )


def _watch(process: subprocess.Popen[bytes], deadline: float) -> tuple[int | None, bytes]:
    """The exit code, None if it was killed for being late, and the end of what it printed.

    We wait for the process and not for the end of its output: a child that it leaves running keeps that open.
    """
    output, tail = _piped(process), b""
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while process.poll() is None:
            if time.monotonic() > deadline:
                _kill_group(process)
                return None, tail
            tail = _gather(selector, output, tail, 0.05)
        return process.returncode, _gather(selector, output, tail, 0)


def _gather(selector: selectors.BaseSelector, output: IO[bytes], tail: bytes, wait_s: float) -> bytes:
    """The newest end of the output; one read empties a full pipe."""
    for _ in selector.select(wait_s):
        chunk = os.read(output.fileno(), 65_536)
        if not chunk:
            selector.unregister(output)
        tail += chunk
    return tail[-_KEPT:]


def _piped(process: subprocess.Popen[bytes]) -> IO[bytes]:
    if process.stdout is None:
        raise RuntimeError("the command was started without a pipe")
    return process.stdout


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_words(tail: bytes) -> str:
    """The last two lines: `nginx -t` says first what is wrong and then that something is."""
    lines = [line.strip() for line in tail.decode("utf-8", "replace").splitlines() if line.strip()]
    text = " / ".join(line[:_LINE] for line in lines[-2:]) or "nothing"
    return "".join(sign for sign in text if sign.isprintable()).rstrip(".")

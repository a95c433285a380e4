"""One supervised child process: started without a shell, logged to a file, never left behind.

The kernel ends a child when its supervisor dies, even by SIGKILL (PR_SET_PDEATHSIG), so that a killed
`redoubt dev` leaves no orphan that holds a port.
"""

import contextlib
import ctypes
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from schemas.errors import DependencyUnavailable

_PR_SET_PDEATHSIG = 1
_LOWEST_PORT, _EPHEMERAL = 20_000, 32_768
"""Linux takes its own ports from the second on (ip_local_port_range)."""
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with(parent: int, by: signal.Signals) -> None:
    """In the child, before it becomes the program; a parent that died before this line is noticed, too."""
    _libc.prctl(_PR_SET_PDEATHSIG, by)
    if os.getppid() != parent:
        os._exit(1)


class Child:
    """A program under our control. `log` receives what it prints."""

    def __init__(
        self, name: str, argv: Sequence[str | Path], log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = log
        self.env = dict(env or {})
        self.orphaned_by = signal.SIGTERM
        """What the kernel sends when the supervisor dies; a process that has been stopped heeds only SIGKILL."""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.env},
                # A new session: a Ctrl-C in the terminal reaches the supervisor alone, which stops in order.
                start_new_session=True,
                preexec_fn=partial(_die_with, os.getpid(), self.orphaned_by),  # noqa: PLW1509 - the supervisor starts its children from one thread
            )

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        return None if self._process is None else self._process.poll()

    @property
    def end(self) -> str:
        """How it ended, in words."""
        code = self.exit_code
        if code is None:
            return "has not ended"
        return f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"

    def stop(self, within_s: float = 15.0) -> None:
        """SIGTERM, then SIGKILL to its whole session if it has not ended in time."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, to it and to what it has started."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def wait(self, within_s: float) -> int:
        """The exit code. Raises `subprocess.TimeoutExpired`."""
        if self._process is None:
            raise RuntimeError(f"{self.name} has not been started")
        return self._process.wait(within_s)

    def last_words(self, lines: int = 5) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.strip().splitlines()[-lines:])

    def wait_until(self, ready: Callable[[], bool], within_s: float, what: str) -> None:
        """Wait for a condition; when it ends or is late, it is stopped, and its last words are raised."""
        try:
            self._wait_until(ready, within_s, what)
        except BaseException:
            self.stop()
            raise

    def _wait_until(self, ready: Callable[[], bool], within_s: float, what: str) -> None:
        deadline = time.monotonic() + within_s
        while not ready():
            if not self.running:
                raise DependencyUnavailable(f"{self.name} ended before it was {what}: {self.last_words()}.")
            if time.monotonic() > deadline:
                raise DependencyUnavailable(
                    f"{self.name} was not {what} within {within_s:.0f} s: {self.last_words()}."
                )
            time.sleep(0.05)


def listening(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def free_port() -> int:
    """One that the kernel gives to no outgoing connection, so that it is still free when a server binds it later."""
    while True:
        port = _LOWEST_PORT + secrets.randbelow(_EPHEMERAL - _LOWEST_PORT)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port

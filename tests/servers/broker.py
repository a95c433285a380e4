"""Starts a server when the first test of the run asks for it, and stops all of them when the run ends.

pytest's controlling process starts the broker; test processes ask over a Unix socket, one JSON line each way.
Servers start side by side: each has a thread of its own, which lives as long as the broker, since the kernel takes
the end of that thread for the end of the server's supervisor (`cli.dev.process`).
The broker ends when its standard input closes, so it can't outlive a killed run.
"""

import contextlib
import json
import os
import selectors
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.servers import starters

SOCKET = "REDOUBT_TEST_BROKER"


def ask(server: str) -> dict[str, str]:
    """What a test process gets: the server's addresses. Raises `RuntimeError` with the broker's words."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(170)
        _connect(line)
        line.sendall(json.dumps({"want": server}).encode() + b"\n")
        answer: dict[str, str] = json.loads(line.makefile("rb").readline())
    if "error" in answer:
        raise RuntimeError(f"{server} did not start: {answer['error']}")
    return answer


def _connect(line: socket.socket) -> None:
    """The broker may still be starting: try until it listens."""
    deadline = time.monotonic() + 20
    while line.connect_ex(os.environ[SOCKET]):
        if time.monotonic() > deadline:
            raise RuntimeError("the broker of the test servers does not answer")
        time.sleep(0.02)


class Broker:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, dict[str, str]] = {}
        self._stops: list[Callable[[], None]] = []
        self._threads = {name: ThreadPoolExecutor(1, name) for name in starters.STARTERS}

    def take(self, line: socket.socket) -> None:
        """Answer what is asked on this line, once its server has started."""
        with line.makefile("rb") as asked:
            want = json.loads(asked.readline())["want"]
        self._threads[want].submit(self._answer, want, line)

    def _answer(self, want: str, line: socket.socket) -> None:
        with line, contextlib.suppress(BrokenPipeError):  # who asked may be gone by now
            line.sendall(json.dumps(self._start(want)).encode() + b"\n")

    def _start(self, want: str) -> dict[str, str]:
        if want not in self._started:
            folder = self._folder / want
            folder.mkdir(exist_ok=True)
            try:
                self._started[want], stop = starters.STARTERS[want](folder)
            except Exception as error:  # noqa: BLE001 - whatever it is, the test that asked must hear it
                return {"error": f"{type(error).__name__}: {error}"}
            self._stops.append(stop)
        return self._started[want]

    def stop(self) -> None:
        for thread in self._threads.values():
            thread.submit(int).result()  # whatever is being started has started then
        for stop in reversed(self._stops):
            stop()


def serve(path: str) -> None:
    with tempfile.TemporaryDirectory(prefix="redoubt-servers-", ignore_cleanup_errors=True) as folder:
        # PostgreSQL runs as another user, who must be able to pass through.
        Path(folder).chmod(0o711)
        broker = Broker(Path(folder))
        try:
            _loop(path, broker)
        finally:
            broker.stop()


def _loop(path: str, broker: Broker) -> None:
    with socket.socket(socket.AF_UNIX) as door, selectors.DefaultSelector() as events:
        door.bind(path)
        door.listen(64)
        events.register(door, selectors.EVENT_READ)
        events.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fileobj is sys.stdin:
                    return
                line, _address = door.accept()
                broker.take(line)


if __name__ == "__main__":
    serve(sys.argv[1])

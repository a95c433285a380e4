"""The end of an exchange, however it spends its time.

Time-outs of a socket start anew with each byte, so a server that sends one a second keeps its client for ever. Here
a timer shuts the connection down, whatever it is doing: shaking hands, sending headers or a body. It holds a
duplicate of the socket's descriptor, which leads to the same connection while the first is wrapped in TLS or closed.
"""

import contextlib
import os
import socket
import threading
import time
from types import TracebackType
from typing import Self

_running = threading.local()


class Deadline:
    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._held: list[socket.socket] = []
        self.over = False

    def __enter__(self) -> Self:
        _running.deadline = self
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._timer.cancel()
        _running.deadline = None
        with self._lock:
            for held in self._held:
                held.close()
            self._held.clear()

    @property
    def left_s(self) -> float:
        """At least a millisecond: a time-out of 0 would mean not to wait at all."""
        return max(self._ends - time.monotonic(), 0.001)

    def hold(self, connected: socket.socket) -> None:
        """Shut this connection down when time is over."""
        with self._lock:
            self._held.append(socket.socket(fileno=os.dup(connected.fileno())))
            if self.over:
                _shut(self._held[-1])

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            for held in self._held:
                _shut(held)


def running() -> Deadline:
    """That of this thread's exchange."""
    deadline: Deadline | None = getattr(_running, "deadline", None)
    if deadline is None:
        raise RuntimeError("an exchange has a deadline")
    return deadline


def _shut(held: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side was faster
        held.shutdown(socket.SHUT_RDWR)

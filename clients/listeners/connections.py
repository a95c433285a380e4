"""The connections of one listener: who is let in, who makes way, and when time is over. For one event loop's thread.

A connection is known by its file descriptor, which is its own until it is closed.
"""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter

from rules.connections import Bounds, Held, admitted, origin_of
from schemas.listeners import Listener

BOUNDS: Final = Bounds()
_CLOSING_S: Final = 5.0
_TELL_S: Final = 60.0
_REASONS: Final = ("late", "crowded-out", "refused")

_log = structlog.get_logger("clients.listeners")


@dataclass
class _Connection:
    socket: socket.socket
    held: Held
    timer: asyncio.TimerHandle


def counted_in(registry: CollectorRegistry) -> Counter:
    """What the listeners of a process count together."""
    return Counter(
        "redoubt_connections_cut",
        "Connections that a listener ended or refused, by reason.",
        ["listener", "reason"],
        registry=registry,
    )


class Connections:
    def __init__(self, listener: Listener, cut: Counter, bounds: Bounds = BOUNDS) -> None:
        """`cut` as by `counted_in`."""
        self.listener: Final = listener
        self._bounds = bounds
        self._known: dict[int, _Connection] = {}
        """Those that wait in the order since when."""
        self._open: set[int] = set()
        """Also those that were cut, until their server has closed them."""
        self._all_closed = asyncio.Event()
        self._cut = cut
        self._told = float("-inf")
        for reason in _REASONS:
            self._cut.labels(listener, reason)

    def admit(self, connection: socket.socket, address: str) -> bool:
        origin = origin_of(address)
        admission = admitted(origin, {key: one.held for key, one in self._known.items()}, self._bounds)
        if admission.makes_way is not None:
            self._cut_off(admission.makes_way, "crowded-out")
        if not admission.yes:
            self._count("refused", origin)
            return False
        key, held = connection.fileno(), Held(origin, waits=True)
        self._known[key] = _Connection(connection, held, self._timer(key, self._bounds.wait_s))
        self._open.add(key)
        return True

    def serving(self, transport: asyncio.BaseTransport) -> None:
        """A whole request head is there."""
        self._turned(transport, self._bounds.serve_s, waits=False)

    def waiting(self, transport: asyncio.BaseTransport) -> None:
        """The answer is given: the next request, or the end, is waited for."""
        self._turned(transport, self._bounds.wait_s, waits=True)

    def left(self, key: int) -> None:
        """The server closes the connection."""
        known = self._known.pop(key, None)
        if known is not None:
            known.timer.cancel()
        self._open.discard(key)
        if not self._open:
            self._all_closed.set()

    async def close(self) -> None:
        """Shut down whatever is open, and wait until its server has closed it, but not for ever."""
        for key in list(self._known):
            self._end(key)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSING_S):
                while self._open:
                    self._all_closed.clear()
                    await self._all_closed.wait()

    def _turned(self, transport: asyncio.BaseTransport, within_s: float, *, waits: bool) -> None:
        under = transport.get_extra_info("socket")
        key = -1 if under is None else under.fileno()
        known = self._known.pop(key, None)
        if known is not None:
            known.timer.cancel()
            held = known.held._replace(waits=waits)
            self._known[key] = _Connection(known.socket, held, self._timer(key, within_s))

    def _timer(self, key: int, within_s: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(within_s, self._cut_off, key, "late")

    def _cut_off(self, key: int, reason: str) -> None:
        origin = self._end(key)
        self._count(reason, origin)

    def _count(self, reason: str, origin: str) -> None:
        """A line a minute at most: who holds connections must not fill the log instead."""
        self._cut.labels(self.listener, reason).inc()
        now = asyncio.get_running_loop().time()
        if now - self._told >= _TELL_S:
            self._told = now
            _log.warning("connections are cut", listener=self.listener.value, reason=reason, origin=origin)

    def _end(self, key: int) -> str:
        """It counts no more from here on, and its server sees it end as if the client had left."""
        known = self._known.pop(key)
        known.timer.cancel()
        with contextlib.suppress(OSError):  # the client was faster
            known.socket.shutdown(socket.SHUT_RDWR)
        return known.held.origin

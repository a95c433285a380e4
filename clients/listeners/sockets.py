"""Listening sockets that count what they accept. They are sockets, so asyncio's and uvicorn's servers take them."""

import os
import socket
from typing import Any

from clients.listeners.connections import Connections
from schemas.errors import DependencyUnavailable


def listening(host: str, port: int, connections: Connections) -> list[socket.socket]:
    """One for each address of the host. Raises `DependencyUnavailable` if it can't be listened on."""
    opened: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            plain = socket.create_server(address, family=family, backlog=512)
            plain.setblocking(False)
            opened.append(_Listening(connections, plain))
    except OSError as error:
        for one in opened:
            one.close()
        why = os.strerror(error.errno) if isinstance(error.errno, int) and error.errno > 0 else "no such host"
        raise DependencyUnavailable(
            f"The listener {connections.listener} can't be opened on {host}:{port}: {why}."
        ) from None
    return opened


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [(family, address) for family, _, _, _, address in found]


class _Listening(socket.socket):
    def __init__(self, connections: Connections, plain: socket.socket) -> None:
        super().__init__(plain.family, plain.type, plain.proto, plain.detach())
        self._connections = connections

    def accept(self) -> tuple[socket.socket, Any]:
        """Raises `ConnectionAbortedError`, which servers take lightly, for one that is not let in."""
        plain, address = super().accept()
        connection = _Accepted(self._connections, plain)
        if not self._connections.admit(connection, str(address[0])):
            connection.close()
            raise ConnectionAbortedError
        return connection, address


class _Accepted(socket.socket):
    def __init__(self, connections: Connections, plain: socket.socket) -> None:
        super().__init__(plain.family, plain.type, plain.proto, plain.detach())
        self._connections = connections

    def close(self) -> None:
        self._connections.left(self.fileno())
        super().close()

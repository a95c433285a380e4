"""Connections to addresses that were checked: urllib3's own, but for how they find their address.

Resolving, checking and connecting are one step, so no second answer of the DNS can come between them. TLS is
urllib3's, by the URL's host name: SNI and certificate are for that name, whichever address it has.
"""

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.poolmanager import PoolManager

from clients.egress.deadline import running
from clients.egress.lookups import within
from rules.addresses import may_reach
from schemas.errors import EgressRefused

Found = tuple[socket.AddressFamily, tuple[Any, ...]]
"""An address family, and the address as `connect` takes it."""
Resolve = Callable[[str, int], Sequence[Found]]


def resolve(host: str, port: int) -> Sequence[Found]:
    """As the system resolves it. Raises `socket.gaierror`."""
    return [
        (family, address)
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ]


class _Checked(HTTPConnection):
    """What both kinds of connections share; `look_up` and `allow` are set by the adapter."""

    look_up: ClassVar[Resolve]
    allow: ClassVar[tuple[str, ...]]

    def _new_conn(self) -> socket.socket:
        look_up = partial(type(self).look_up, self._dns_host, self.port)
        try:
            found = within(running().left_s, look_up)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError:
            raise ConnectTimeoutError(self, f"{self.host} was not resolved in time.") from None
        checked = [one for one in found if may_reach(str(one[1][0]), self.allow)]
        if not checked:
            raise EgressRefused(f"{self.host} has no address that may be reached from here.")
        return self._connected(checked)

    def _connected(self, addresses: Sequence[Found]) -> socket.socket:
        """To the first that answers; the others have the time that is left."""
        last: OSError = OSError("no address")
        for family, address in addresses:
            sock = socket.socket(family, socket.SOCK_STREAM)
            try:
                running().hold(sock)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(running().left_s)
                sock.connect(address)
            except OSError as error:
                sock.close()
                last = error
            else:
                return sock
        if isinstance(last, TimeoutError):
            raise ConnectTimeoutError(self, f"{self.host} did not answer in time.") from last
        raise NewConnectionError(self, f"{self.host} did not take a connection.") from last

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is not None:  # one that an earlier exchange has left open
            running().hold(self.sock)
        super().request(*args, **kwargs)


class CheckedAdapter(HTTPAdapter):
    def __init__(self, allow: tuple[str, ...], look_up: Resolve) -> None:
        of_policy = {"allow": allow, "look_up": staticmethod(look_up)}
        plain = type("CheckedHTTPConnection", (_Checked,), of_policy)
        tls = type("CheckedHTTPSConnection", (_Checked, HTTPSConnection), of_policy)
        self._pools = {
            "http": type("CheckedHTTPPool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
            "https": type("CheckedHTTPSPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
        }
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        manager: PoolManager = self.poolmanager
        manager.pool_classes_by_scheme = self._pools

"""Our HTTP/1.1 protocol, telling the application what the TLS layer knows.

uvicorn fills in no `scope["extensions"]["tls"]`. This does, once a connection, from the connection itself: what a
client or a proxy writes into a header never gets there.
"""

import asyncio
import ssl
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from api.connection import BoundedProtocol
from clients.tls.peer import TlsExtension, described


class TlsProtocol(BoundedProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # asyncio hands over a Transport
        connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if connection is None:
            return
        known = described(connection)
        if known is None:
            self.transport.abort()
            return
        self.app = told(self.app, known)


def told(app: Any, known: TlsExtension) -> ASGIApp:
    """The application, with the extension in each scope of this connection."""

    async def with_tls(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {**scope.get("extensions", {}), "tls": known}
        await app({**scope, "extensions": extensions}, receive, send)

    return with_tls

"""A CA that misbehaves: Pebble behind a proxy that puts something else in the place of an issued certificate.

Pebble makes its URLs from the request's Host, so a client that asks the proxy for the directory stays with it.
"""

import http.client
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Swap = Callable[[bytes], bytes]


class Misissuing:
    """`swap` gets the chain that Pebble issued and returns what the client is given."""

    def __init__(self, ca: Any, swap: Swap) -> None:
        self._ca, self.swap = ca, swap
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = Path(ca.ca_file).parent
        context.load_cert_chain(folder / "listener.pem", folder / "listener-key.pem")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def directory(self) -> str:
        return f"https://127.0.0.1:{self._server.server_port}/dir"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing: Pebble's own log tells what it was asked for."""

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, answer = proxy.ask(self.command, self.path, dict(self.headers), body)
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in {"content-length", "connection", "transfer-encoding"}:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer)

            do_GET = do_POST = do_HEAD = _pass_on  # noqa: N815 - the base class's names

        return Handler

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        trust = ssl.create_default_context(cafile=str(Path(self._ca.ca_file)))
        to = self._ca.directory.removeprefix("https://").partition("/")[0]
        line = http.client.HTTPSConnection(to, context=trust, timeout=20)
        try:
            line.request(method, path, body=body or None, headers=headers)
            answer = line.getresponse()
            content = answer.read()
        finally:
            line.close()
        if answer.getheader("Content-Type", "").startswith("application/pem-certificate-chain"):
            content = self.swap(content)
        return answer.status, answer.getheaders(), content

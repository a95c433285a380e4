"""A CA that misbehaves: Pebble behind a proxy that answers some questions itself, and swaps what was issued.

Pebble makes its URLs from the request's Host, so a client that asks the proxy for the directory stays with it.
"""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from acme.messages import ERROR_PREFIX

Swap = Callable[[bytes], bytes]
NEW_ORDER, FINALIZE = "/order-plz", "/finalize-order/"
"""Where Pebble takes orders and requests."""


@dataclass
class Refusal:
    """The first `times` questions to paths that begin so are answered with this problem (RFC 8555, 6.7)."""

    path: str
    status: int
    problem: str
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1
    asked_at: list[float] = field(default_factory=list)
    """When each question to such a path came, refused or not; monotonic seconds."""

    def answer(self) -> tuple[int, list[tuple[str, str]], bytes] | None:
        self.asked_at.append(time.monotonic())
        if len(self.asked_at) > self.times:
            return None
        body = {"type": f"{ERROR_PREFIX}{self.problem}", "detail": f"this CA says {self.problem}"}
        headers = {"Content-Type": "application/problem+json", **self.headers}
        return self.status, list(headers.items()), json.dumps(body).encode()


class Misissuing:
    """`swap` gets the chain that Pebble issued and returns what the client is given."""

    def __init__(self, ca: Any, swap: Swap = bytes, refusal: Refusal | None = None) -> None:
        self._ca, self.swap, self.refusal = ca, swap, refusal
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
        if self.refusal is not None and path.startswith(self.refusal.path):
            refused = self.refusal.answer()
            if refused is not None:
                return refused
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

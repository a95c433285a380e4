"""A TLS server that does what no honest server does: endless and slow bodies, redirects, wrong types, other names.

Each path has its own behaviour, a function that is given the request's handler. What was asked for is written down.
"""

import contextlib
import datetime as dt
import http.server
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Handler = http.server.BaseHTTPRequestHandler
Behaviour = Callable[[Handler], None]

_ENDLESS = b"x" * 65_536


class Identity:
    """A CA of the test's own, and a server certificate for these names, in files."""

    def __init__(self, folder: Path, *names: str) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        now = dt.datetime.now(dt.UTC)
        signed = (
            x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        self.ca_file = folder / f"{names[0]}.pem"
        self.ca_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        chain = folder / f"{names[0]}.chain.pem"
        chain.write_bytes(private + self.ca_file.read_bytes())
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)


class Hostile:
    """Serves `behaviours` at an address of loopback, with TLS where an identity is given."""

    def __init__(self, address: str, port: int, identity: Identity | None) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and headers of each request."""
        self.behaviours: dict[str, Behaviour] = {}
        self.ended = threading.Event()
        self._server = http.server.ThreadingHTTPServer((address, port), self._handler())
        self._server.daemon_threads = True
        if identity is not None:
            self._server.socket = identity.context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(60)

    def _handler(self) -> type[Handler]:
        server = self

        class Asked(Handler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                server.asked.append((self.command, self.path, dict(self.headers)))
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                with contextlib.suppress(OSError):  # who asked has gone away
                    server.behaviours[self.path](self)

            do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - the base class's names

            def handle(self) -> None:
                with contextlib.suppress(OSError):
                    super().handle()

            def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        return Asked

    # --- behaviours -----------------------------------------------------------------------------------

    def endless(self, handler: Handler) -> None:
        self._begin(handler, {"Content-Type": "application/json"})
        while not self.ended.is_set():
            handler.wfile.write(_ENDLESS)

    def slow(self, handler: Handler) -> None:
        """One byte at a time, for ever, each well before any socket's time-out."""
        self._begin(handler, {"Content-Type": "application/json"})
        while not self.ended.wait(0.05):
            handler.wfile.write(b" ")
            handler.wfile.flush()

    def slow_headers(self, handler: Handler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while not self.ended.wait(0.05):
            handler.wfile.write(b"a")
            handler.wfile.flush()

    @staticmethod
    def _begin(handler: Handler, headers: Mapping[str, str]) -> None:
        handler.close_connection = True
        handler.send_response(200)
        for name, value in {**headers, "Connection": "close"}.items():
            handler.send_header(name, value)
        handler.end_headers()


def answering(body: bytes | Mapping[str, Any], status: int = 200, **headers: str) -> Behaviour:
    """A whole answer; header names are given with underscores. JSON if the body is a mapping."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Type": "application/json", **given}.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(content)

    return answer


@contextlib.contextmanager
def serving(address: str = "127.0.0.1", port: int = 0, identity: Identity | None = None) -> Iterator[Hostile]:
    server = Hostile(address, port, identity)
    try:
        yield server
    finally:
        server.stop()

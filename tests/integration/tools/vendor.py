"""A vendor's server: HTTPS on loopback, one download, as well or badly behaved as a test wants."""

import contextlib
import datetime as dt
import http.server
import ipaddress
import pathlib
import ssl
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Vendor:
    content: bytes
    break_after: list[int] = field(default_factory=list)
    """Each request that finds a number here is broken off after so many bytes."""
    redirect: str = ""
    status: int = 200
    states_length: bool = True
    ranges: list[str] = field(default_factory=list)
    """What each request asked for."""
    url: str = ""
    trust: ssl.SSLContext = field(default_factory=ssl.create_default_context)


@contextlib.contextmanager
def serving(vendor: Vendor, folder: pathlib.Path) -> Iterator[Vendor]:
    certificate, key = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    vendor.trust.load_verify_locations(certificate)
    server = _Server(("127.0.0.1", 0), _handler(vendor))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    vendor.url = f"https://127.0.0.1:{server.server_address[1]}/download"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield vendor
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, _request: object, _client: object) -> None:
        """A client that has had enough is no error of the server's."""
        if not isinstance(sys.exception(), OSError):
            raise  # noqa: PLE0704 - it is called while one is handled


def _handler(vendor: Vendor) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            vendor.ranges.append(wanted)
            if vendor.redirect:
                self.send_response(302)
                self.send_header("Location", vendor.redirect)
                self.end_headers()
                return
            start = int(wanted.removeprefix("bytes=").removesuffix("-") or 0)
            self._send(start)

        def _send(self, start: int) -> None:
            rest = vendor.content[start:]
            if not rest:
                self.send_error(416)
                return
            self.send_response(206 if start else vendor.status)
            if start:
                self.send_header(
                    "Content-Range", f"bytes {start}-{len(vendor.content) - 1}/{len(vendor.content)}"
                )
            if vendor.states_length:
                self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[: vendor.break_after.pop(0)] if vendor.break_after else rest)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has its name
            """Say nothing."""

    return Handler


def _certificate(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "vendor")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "vendor.pem", folder / "vendor.key"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate_file, key_file

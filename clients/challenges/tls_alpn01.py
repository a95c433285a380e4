"""TLS-ALPN-01 (RFC 8737): a self-signed certificate with the proof in it, shown to whoever asks for acme-tls/1.

- The responder listens only while a proof is published, on one address for the whole process. It answers nothing
  but a handshake, to a name that is being proved; every other name is refused within the handshake.
- An IP address is asked for by its name in the reverse zone (RFC 8738, 6).
- Keys and certificates are made for one proof, are worth nothing to anybody else, and never outlive it.
- A proof lives in this process: if that is killed, the order fails at the CA, and a new one is placed.
"""

import contextlib
import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clients.challenges import Proof
from clients.subjects import alternative_names
from rules.points import reached
from schemas.errors import DependencyUnavailable
from schemas.settings.names import is_address

PROTOCOL: Final = "acme-tls/1"
ACME_IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_HANDSHAKE_S: Final = 5.0
_AT_ONCE: Final = 16
_LOOK_S: Final = 0.2
_VALID: Final = dt.timedelta(days=7)


class TlsAlpnSolver:
    """The port `ChallengeSolver`."""

    kind = "tls-alpn-01"

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._lock = threading.Lock()
        self._shown: dict[str, dict[str, ssl.SSLContext]] = {}
        """Server name to the token and context of each proof of it; the newest is shown."""
        self._responder: _Responder | None = None

    def publish(self, proof: Proof) -> None:
        context = _context(proof)
        with self._lock:
            if self._responder is None:
                self._responder = _Responder(self._address, self._choose)
            self._shown.setdefault(server_name(proof.name), {})[proof.token] = context
        reached("challenge.published")

    def await_visible(self, proof: Proof, beat: Callable[[], None]) -> None:
        """Nothing to wait for: it is shown from the next handshake on."""

    def withdraw(self, proof: Proof) -> None:
        name = server_name(proof.name)
        with self._lock:
            proofs = self._shown.get(name, {})
            proofs.pop(proof.token, None)
            if not proofs:
                self._shown.pop(name, None)
            responder = self._responder if not self._shown else None
            if responder is not None:
                self._responder = None
                responder.stop()

    def _choose(self, asked: str | None) -> ssl.SSLContext | None:
        # No lock: a publication that waits for the address must not hold up a handshake.
        proofs = tuple(self._shown.get((asked or "").lower(), {}).values())
        return proofs[-1] if proofs else None


def server_name(name: str) -> str:
    """What a CA asks for in the handshake."""
    return ipaddress.ip_address(name).reverse_pointer if is_address(name) else name.lower()


class _Responder:
    def __init__(
        self, address: tuple[str, int], choose: Callable[[str | None], ssl.SSLContext | None]
    ) -> None:
        self._choose = choose
        self._door = _listening(address)
        self._stopping = threading.Event()
        self._handshakes = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="tls-alpn-01")
        self._thread = threading.Thread(target=self._serve, name="tls-alpn-01", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._handshakes.shutdown(wait=False, cancel_futures=True)

    def _serve(self) -> None:
        with self._door:
            while not self._stopping.is_set():
                with contextlib.suppress(TimeoutError, ConnectionError):
                    line, _ = self._door.accept()
                    self._handshakes.submit(self._answer, line)

    def _answer(self, line: socket.socket) -> None:
        """One handshake, and no byte of data. What a stranger does wrong in it concerns nobody."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2  # what RFC 8737 asks of a CA at least
        context.set_alpn_protocols([PROTOCOL])
        context.sni_callback = self._named
        with line, contextlib.suppress(OSError):
            line.settimeout(_HANDSHAKE_S)
            with context.wrap_socket(line, server_side=True) as shaken:
                shaken.unwrap().close()

    def _named(self, shaken: ssl.SSLObject, asked: str | None, _: ssl.SSLContext) -> int | None:
        context = self._choose(asked)
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        shaken.context = context
        return None


def _listening(address: tuple[str, int]) -> socket.socket:
    host, port = address
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        door = socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        raise DependencyUnavailable(
            f"The responder for tls-alpn-01 can't listen on {host} port {port}: {error.strerror}."
        ) from error
    door.settimeout(_LOOK_S)
    return door


def _context(proof: Proof) -> ssl.SSLContext:
    certificate, key = certificate_for(proof)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([PROTOCOL])
    # The library reads both from files only.
    with tempfile.TemporaryDirectory(prefix="redoubt-alpn-") as folder:
        file = Path(folder) / "proof.pem"
        file.touch(mode=0o600)
        file.write_bytes(key + certificate)
        context.load_cert_chain(file)
    return context


def certificate_for(proof: Proof) -> tuple[bytes, bytes]:
    """A self-signed certificate for the one name, with the proof in it, and its key; both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    now, nobody = dt.datetime.now(dt.UTC), x509.Name([])
    digest = hashlib.sha256(proof.key_authorization.encode("ascii")).digest()
    octets = bytes([4, len(digest)]) + digest  # DER: an OCTET STRING
    builder = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _VALID)
        .not_valid_after(now + _VALID)
        .add_extension(alternative_names((proof.name,)), critical=True)
        .add_extension(x509.UnrecognizedExtension(ACME_IDENTIFIER, octets), critical=True)
    )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), plain

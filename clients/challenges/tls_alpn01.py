"""TLS-ALPN-01 (RFC 8737): a self-signed certificate with the proof in it, shown to whoever asks for acme-tls/1.

- The responder listens only while a proof is published, on one address for the whole process. It answers nothing
  but a handshake, to a name that is being proved; every other name is refused within the handshake. Strangers who
  say nothing can't keep the CA out: its connections are bounded like those of every listener of ours, and so is
  its TLS (`clients.tls.policy`).
- An IP address is asked for by its name in the reverse zone (RFC 8738, 6).
- Keys and certificates are made for one proof, are worth nothing to anybody else, and never outlive it.
- A proof lives in this process: if that is killed, the order fails at the CA, and a new one is placed.
"""

import asyncio
import datetime as dt
import hashlib
import ipaddress
import ssl
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from prometheus_client import CollectorRegistry

from clients.challenges import Proof
from clients.listeners.connections import Connections, counted_in
from clients.listeners.sockets import listening
from clients.subjects import alternative_names
from clients.tls import policy
from rules.connections import Bounds
from rules.points import reached
from schemas.listeners import Listener
from schemas.settings.names import is_address

PROTOCOL: Final = "acme-tls/1"
ACME_IDENTIFIER: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_BOUNDS: Final = Bounds(wait_s=5.0)
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
    """Its event loop has a thread of its own, since a solver is called from any."""

    def __init__(
        self, address: tuple[str, int], choose: Callable[[str | None], ssl.SSLContext | None]
    ) -> None:
        self._connections = Connections(Listener.TLS_ALPN_01, counted_in(CollectorRegistry()), _BOUNDS)
        self._sockets = listening(*address, self._connections)
        self._choose = choose
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="tls-alpn-01", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        context = _of_policy()
        context.sni_callback = self._named
        servers = [await self._loop.create_server(_HangsUp, sock=one, ssl=context) for one in self._sockets]
        await self._stopping.wait()
        for server in servers:
            server.close()
        await self._connections.close()

    def _named(self, shaken: ssl.SSLObject, asked: str | None, _: ssl.SSLContext) -> int | None:
        context = self._choose(asked)
        if context is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        shaken.context = context
        return None


class _HangsUp(asyncio.Protocol):
    """One handshake, and no byte of data. What a stranger does wrong in it concerns nobody."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _of_policy() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    policy.apply(context)
    context.set_alpn_protocols([PROTOCOL])
    return context


def _context(proof: Proof) -> ssl.SSLContext:
    certificate, key = certificate_for(proof)
    context = _of_policy()
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

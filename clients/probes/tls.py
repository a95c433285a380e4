"""What a server shows in a TLS handshake: the leaf's fingerprint, and whether chain and name verify.

Rules:
- Nothing is sent but the handshake, and nothing is ever sent in plain.
- Each handshake is fresh: no session is kept, so a server can't resume an old one and show nothing.
- It ends by its deadline, however slowly the other side talks.
- A server that does not verify is asked a second time without verification, only to read what it shows. So is,
  and only so, one for which no roots are given: it is not trusted.
"""

import contextlib
import hashlib
import select
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass

from clients.probes import Handshake
from schemas.errors import VerificationFailed


class TlsProber:
    """The port `Prober` on the standard library's TLS, 1.2 and newer."""

    def handshake(self, host: str, port: int, server_name: str, roots: bytes, timeout_s: float) -> Handshake:
        asked = _Asked(host, port, _name(server_name), time.monotonic() + timeout_s)
        with _failing(f"{host}:{port}", server_name, timeout_s):
            if not roots.strip():
                return _shake(_looking(), asked, trusted=False)
            try:
                return _shake(_verifying(roots), asked, trusted=True)
            except ssl.SSLCertVerificationError as error:
                untrusted = _shake(_looking(), asked, trusted=False)
                return untrusted.model_copy(update={"detail": error.verify_message})

    def leaf(self, host: str, port: int, server_name: str, timeout_s: float) -> tuple[bytes, str]:
        """What is shown, in DER, and the TLS version; nothing of it is trusted. An empty name asks for none.

        Raises `VerificationFailed` if there was no handshake to speak of.
        """
        asked = _Asked(host, port, _name(server_name), time.monotonic() + timeout_s)
        with _failing(f"{host}:{port}", server_name or "no name", timeout_s):
            return _shown(_looking(), asked)


@contextlib.contextmanager
def _failing(where: str, server_name: str, timeout_s: float) -> Iterator[None]:
    """Say in words why there was no handshake."""
    try:
        yield
    except TimeoutError as error:
        raise VerificationFailed(
            f"{where} did not finish a TLS handshake for {server_name} within {timeout_s:g} s."
        ) from error
    except ssl.SSLError as error:
        raise VerificationFailed(
            f"{where} refused a TLS handshake for {server_name} ({error.reason or 'it spoke no TLS'})."
        ) from error
    except OSError as error:
        raise VerificationFailed(
            f"{where} could not be reached for a TLS handshake ({error.strerror or 'connection lost'})."
        ) from error


@dataclass(frozen=True)
class _Asked:
    host: str
    port: int
    name: str
    deadline: float

    def left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _name(server_name: str) -> str:
    """A wildcard is asked for by a name that it covers."""
    return f"redoubt{server_name[1:]}" if server_name.startswith("*.") else server_name


def _verifying(roots: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=roots.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise VerificationFailed("The roots to verify against are no certificates in PEM.") from error
    return context


def _looking() -> ssl.SSLContext:
    """Reads what is shown and believes nothing: its outcome is marked as not trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _shake(context: ssl.SSLContext, asked: _Asked, *, trusted: bool) -> Handshake:
    leaf, version = _shown(context, asked)
    return Handshake(fingerprint=hashlib.sha256(leaf).hexdigest(), trusted=trusted, tls_version=version)


def _shown(context: ssl.SSLContext, asked: _Asked) -> tuple[bytes, str]:
    with (
        socket.create_connection((asked.host, asked.port), timeout=asked.left()) as plain,
        context.wrap_socket(
            plain, server_hostname=asked.name or None, do_handshake_on_connect=False
        ) as channel,
    ):
        channel.setblocking(False)
        _finish(channel, asked)
        leaf = channel.getpeercert(binary_form=True)
        if leaf is None:
            raise VerificationFailed(f"{asked.host}:{asked.port} showed no certificate for {asked.name}.")
        return leaf, channel.version() or ""


def _finish(channel: ssl.SSLSocket, asked: _Asked) -> None:
    while True:
        try:
            channel.do_handshake()
        except ssl.SSLWantReadError:
            _wait(channel, select.POLLIN, asked)
        except ssl.SSLWantWriteError:
            _wait(channel, select.POLLOUT, asked)
        else:
            return


def _wait(channel: ssl.SSLSocket, event: int, asked: _Asked) -> None:
    poller = select.poll()
    poller.register(channel, event)
    poller.poll(1000 * asked.left())

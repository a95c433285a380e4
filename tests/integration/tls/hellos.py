"""First messages of handshakes that a library would not send: with suites or groups that the policy has not."""

import socket
import ssl
from collections.abc import Sequence

from tests.integration.tls.material import NAME

ALERT, HANDSHAKE = 21, 22
_SUITES_OF_POLICY = (0x1301, 0x1302, 0x1303)
STRANGE_SUITES = {0x1301: 0x1304, 0x1302: 0x1305, 0x1303: 0x1304}
"""AES-CCM and AES-CCM-8 (RFC 8446) for each of ours."""


def hello(group: str = "X25519", name: str = NAME, protocols: Sequence[str] = ("http/1.1",)) -> bytes:
    """A ClientHello of TLS 1.3 with this one group."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ecdh_curve(group)
    context.set_alpn_protocols(list(protocols))
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake with nobody can't end")


def with_strange_suites(message: bytes) -> bytes:
    at = 5 + 4 + 2 + 32
    at += 1 + message[at]
    end = at + 2 + int.from_bytes(message[at : at + 2])
    changed = bytearray(message)
    for one in range(at + 2, end, 2):
        suite = int.from_bytes(message[one : one + 2])
        if suite in _SUITES_OF_POLICY:
            changed[one : one + 2] = STRANGE_SUITES[suite].to_bytes(2)
    return bytes(changed)


def goes_on(port: int, message: bytes) -> bool:
    """Whether the listener answers with a handshake message, as to a ClientHello that it takes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
        plain.sendall(message)
        try:
            answer = plain.recv(1)
        except ConnectionError:
            return False
    return bool(answer) and answer[0] == HANDSHAKE

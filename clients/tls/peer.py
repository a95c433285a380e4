"""What the TLS layer knows of a connection, as ASGI's extension `tls` has it (asgi.readthedocs.io, TLS 0.2).

`client_cert_chain` holds the client's own certificate only: Python before 3.13 keeps no more of the chain. It was
verified against the listener's roots and CRLs in this handshake, or in the one that this session resumes; trust
that has changed since has ended the session (`clients.tls.listener`). Its end is checked again here.
"""

import ssl
from datetime import UTC, datetime
from typing import TypedDict, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from clients.tls.handshake import ServedContext
from clients.tls.policy import SUITES

_TLS13 = 0x0304


class TlsExtension(TypedDict):
    server_cert: str | None
    client_cert_chain: list[str]
    client_cert_name: str | None
    client_cert_error: str | None
    tls_version: int | None
    cipher_suite: int | None


def described(connection: ssl.SSLObject, now: datetime | None = None) -> TlsExtension | None:
    """None: the client's certificate has ended since its session began, and the connection is to be closed."""
    der = connection.getpeercert(binary_form=True)
    client = None if der is None else x509.load_der_x509_certificate(der)
    if client is not None and client.not_valid_after_utc <= (now or datetime.now(UTC)):
        return None
    suite = connection.cipher()
    return TlsExtension(
        server_cert=cast("ServedContext", connection.context).leaf,
        client_cert_chain=[] if client is None else [client.public_bytes(Encoding.PEM).decode("ascii")],
        client_cert_name=None if client is None else client.subject.rfc4514_string(),
        client_cert_error=None,
        tls_version=_TLS13,
        cipher_suite=SUITES.get(suite[0]) if suite else None,
    )

"""What the tests of issuers order with: an account, names, a request, a heartbeat that counts."""

import secrets

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from clients.subjects import alternative_names

LOOPBACK = ("127.0.0.0/8",)
"""Where the tests' CAs listen, and where their links lead: `egress.allow`."""


def account_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def names_of_ones_own() -> tuple[str, ...]:
    unique = secrets.token_hex(6)
    return (f"{unique}.example.com", f"www.{unique}.example.com")


def request(names: tuple[str, ...]) -> bytes:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(
        alternative_names(names), critical=False
    )
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


class Beats:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1

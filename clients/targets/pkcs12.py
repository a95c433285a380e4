"""A version as one PKCS#12 file, for servers that read nothing else.

Encrypted with AES-256-CBC under a key from PBKDF2 with HMAC-SHA-256, and with an HMAC-SHA-256 over the whole
(RFC 7292): OpenSSL 1.1 and Java 8u301 and their successors read it. It holds the private key only where the target
does.
"""

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs12

from clients.targets.keys import PrivateKey
from schemas.errors import InvalidReference

_ROUNDS: Final = 100_000
"""A service opens the file at each start; the password comes from a secret store and not from a person's memory."""
_SHORTEST: Final = 8


def sealed(name: str, fullchain: bytes, key: PrivateKey | None, password: bytes) -> bytes:
    """Raises `InvalidReference` for a password that could not be typed the same everywhere."""
    if len(password) < _SHORTEST or not all(0x20 <= sign < 0x7F for sign in password):  # noqa: PLR2004 - ASCII
        raise InvalidReference(
            f"Target {name}: its PKCS#12 password must have at least {_SHORTEST} signs of printable ASCII."
        )
    leaf, *others = x509.load_pem_x509_certificates(fullchain)
    encryption = (
        serialization.PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(hashes.SHA256())
        .build(password)
    )
    return pkcs12.serialize_key_and_certificates(name.encode("ascii"), key, leaf, others, encryption)

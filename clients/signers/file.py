"""An Ed25519 key in PKCS#8 (PEM), reached by reference: for those who have no device, and for machines."""

import base64

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from clients.secrets import SecretSource
from schemas.errors import KeyUnsuitable
from schemas.signing_keys import SigningKey


class FileSigner:
    """The private half lives in memory from here to the end of the command that asked for it."""

    def __init__(self, key_id: str, reference: str, secrets: SecretSource) -> None:
        self._private = _ed25519(secrets.resolve(reference))
        public = self._private.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.key = SigningKey(id=key_id, kind="file", public_key=base64.b64encode(public).decode())

    def sign(self, statement: bytes) -> bytes:
        return self._private.sign(statement)


def _ed25519(pem: bytes) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # No cause is kept: it may quote what it was given.
        raise KeyUnsuitable("The reference leads to no private key in PKCS#8 (PEM, not encrypted).") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnsuitable("The reference leads to a key of another kind than Ed25519.")
    return key

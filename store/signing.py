"""The log's Ed25519 key: signs checkpoints from a 32-byte seed, checks them with the public half."""

import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.errors import InvalidReference

SEED_BYTES = 32
_HEX = re.compile(rb"[0-9a-fA-F]{64}")


def seed_from(secret: bytes) -> bytes:
    """The 32 bytes that a secret holds in hexadecimal. Raises `InvalidReference`."""
    if not _HEX.fullmatch(secret.strip()):
        raise InvalidReference("The log's key is 32 bytes in hexadecimal, and this secret is not.")
    return bytes.fromhex(secret.strip().decode("ascii"))


class LogKey:
    """Signs for the log; its public half is what verifiers know."""

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise InvalidReference("The log's key is 32 bytes.")
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._private.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


class PublicKey:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._key = Ed25519PublicKey.from_public_bytes(raw)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True

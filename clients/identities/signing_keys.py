"""Signatures by people's and services' own keys.

- `ed25519`: the plain signature. `p256`: ECDSA with SHA-256, in DER, as tokens behind PKCS#11 give it when wrapped.
- `fido2`: canonical JSON of the assertion (`Assertion`) in base64. The challenge is the SHA-256 of the message; the
  device must have verified its user, and the relying party is the one that the policy names for the key.
- A key of another kind than the policy says, or one that can't be read, verifies nothing.
"""

import base64
import hashlib
import hmac
from typing import Annotated

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)
from fido2.webauthn import AuthenticatorData, CollectedClientData
from pydantic import Field, ValidationError

from rules.requests import fingerprint
from schemas.contract import Contract
from schemas.errors import InvalidReference
from schemas.policies import SigningKey
from schemas.principals import Base64

Part = Annotated[Base64, Field(max_length=4096)]


class Assertion(Contract):
    """What a FIDO2 device answers, each part in base64."""

    authenticator_data: Part
    client_data: Part
    signature: Part


def verify(key: SigningKey, message: bytes, signature: str) -> bool:
    """As `clients.identities.Verifier`."""
    try:
        raw = base64.b64decode(signature, validate=True)
        public = load_der_public_key(base64.b64decode(key.public_key, validate=True))
        if key.kind == "fido2":
            return _asserted(key, public, message, raw)
        return _signed(key.kind, public, message, raw)
    except (ValueError, ValidationError, UnsupportedAlgorithm, InvalidSignature):
        return False


def _signed(kind: str, public: object, message: bytes, signature: bytes) -> bool:
    if isinstance(public, Ed25519PublicKey) and kind in {"ed25519", "fido2"}:
        public.verify(signature, message)
        return True
    if isinstance(public, EllipticCurvePublicKey) and kind in {"p256", "fido2"}:
        if not isinstance(public.curve, SECP256R1):
            return False
        public.verify(signature, message, ECDSA(SHA256()))
        return True
    return False


def _asserted(key: SigningKey, public: object, message: bytes, signature: bytes) -> bool:
    given = Assertion.model_validate_json(signature)
    data = AuthenticatorData(base64.b64decode(given.authenticator_data))
    client = CollectedClientData(base64.b64decode(given.client_data))
    if client.type != CollectedClientData.TYPE.GET or client.cross_origin:
        return False
    if not hmac.compare_digest(client.challenge, hashlib.sha256(message).digest()):
        return False
    party = hashlib.sha256(key.relying_party.encode()).digest()
    if not hmac.compare_digest(data.rp_id_hash, party):
        return False
    if not (data.is_user_present() and data.is_user_verified()):
        return False
    return _signed(key.kind, public, data + client.hash, base64.b64decode(given.signature))


class FileSigner:
    """An Ed25519 key from a PKCS#8 file, which a reference names."""

    def __init__(self, pem: bytes) -> None:
        """Raises `InvalidReference` for what is no such key; nothing of it is repeated."""
        try:
            private = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise InvalidReference("The signing key is no PKCS#8 file without a passphrase.") from None
        if not isinstance(private, Ed25519PrivateKey):
            raise InvalidReference("The signing key is not an Ed25519 key.")
        self._private = private
        self.public_key = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        """SubjectPublicKeyInfo in DER."""

    @property
    def key_id(self) -> str:
        return fingerprint(self.public_key)

    def sign(self, message: bytes) -> str:
        return base64.b64encode(self._private.sign(message)).decode()

"""What a FIDO2 key has signed (a WebAuthn assertion), as it travels in a vote, and whether it is good.

- Its challenge is the SHA-256 of the statement, so it is about this vote and no other.
- Its relying party is the one under which the key was enrolled; the origin is `https://` and that name.
- The key has seen its owner's touch and verified them by PIN or finger: without both flags it is nothing.
- It is a key that stays in its device: a passkey that may be copied to others (the flags of a backup) is nothing.

Every check is `fido2`'s own (`Fido2Server.authenticate_complete`).
"""

import hashlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_der_public_key
from fido2.cose import ES256, CoseKey, EdDSA
from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestedCredentialData,
    AuthenticationResponse,
    AuthenticatorAssertionResponse,
    AuthenticatorData,
    CollectedClientData,
    PublicKeyCredentialRpEntity,
    UserVerificationRequirement,
)
from pydantic import Base64Bytes

from clients.signers import Proof
from schemas.contract import Contract
from schemas.errors import KeyUnsuitable


class Assertion(Contract):
    """The signature of a FIDO2 key: this, as JSON."""

    credential_id: Base64Bytes
    client_data: Base64Bytes
    authenticator_data: Base64Bytes
    signature: Base64Bytes


def challenge(statement: bytes) -> bytes:
    return hashlib.sha256(statement).digest()


def origin(relying_party: str) -> str:
    return f"https://{relying_party}"


def checked(relying_party: str, public_key: bytes, statement: bytes, given: bytes) -> Proof:
    """Raises `ValueError`, or what `fido2` raises for bytes that are no assertion, unless it is good."""
    assertion = Assertion.model_validate_json(given)
    data = AuthenticatorData(assertion.authenticator_data)
    if may_be_copied(data):
        raise ValueError("a passkey that may be backed up is in no device of its own")
    credential = AttestedCredentialData.create(Aaguid.NONE, assertion.credential_id, cose(public_key))
    server = Fido2Server(
        PublicKeyCredentialRpEntity(id=relying_party, name=relying_party),
        verify_origin=lambda shown: shown == origin(relying_party),
    )
    state: dict[str, Any] = {
        "challenge": websafe_encode(challenge(statement)),
        "user_verification": UserVerificationRequirement.REQUIRED,
    }
    response = AuthenticationResponse(
        raw_id=assertion.credential_id,
        response=AuthenticatorAssertionResponse(
            client_data=CollectedClientData(assertion.client_data),
            authenticator_data=data,
            signature=assertion.signature,
        ),
    )
    server.authenticate_complete(state, [credential], response)
    return Proof(counter=data.counter)


def may_be_copied(data: AuthenticatorData) -> bool:
    """Whether the key says that it may be backed up, or is (WebAuthn, section 6.1.3)."""
    return bool(data.flags & (AuthenticatorData.FLAG.BE | AuthenticatorData.FLAG.BS))


def cose(public_key: bytes) -> CoseKey:
    """A SubjectPublicKeyInfo in DER as FIDO2 writes keys. Raises `KeyUnsuitable`."""
    key = load_der_public_key(public_key)
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        kind: type[CoseKey] = ES256
    elif isinstance(key, ed25519.Ed25519PublicKey):
        kind = EdDSA
    else:
        raise KeyUnsuitable("A FIDO2 key signs approvals by ES256 or EdDSA, and by nothing else.")
    return kind.from_cryptography_key(key)

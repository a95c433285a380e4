"""Signatures of each kind of key, and what verifies nothing."""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, SECP384R1
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from clients.identities.signing_keys import FileSigner, verify
from schemas.errors import InvalidReference
from schemas.policies import SigningKey

MESSAGE = b"exactly this"
PARTY = "redoubt.example.com"
P256 = ec.generate_private_key(SECP256R1())


def key(public: Any, kind: str, party: str = "") -> SigningKey:
    spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b64encode(spki).decode()
    return SigningKey.model_validate(
        {"id": "one", "kind": kind, "public_key": text, "relying_party": party, "hardware": True}
    )


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def assertion(message: bytes = MESSAGE, *, flags: int = 0x05, party: str = PARTY, **changes: Any) -> str:
    """What a device answers; the flags are user present and user verified."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(message).digest()).rstrip(b"=").decode()
    client = {"type": "webauthn.get", "challenge": challenge, "origin": f"https://{PARTY}", **changes}
    client_data = json.dumps(client).encode()
    data = hashlib.sha256(party.encode()).digest() + bytes([flags]) + (7).to_bytes(4)
    signature = P256.sign(data + hashlib.sha256(client_data).digest(), ECDSA(SHA256()))
    parts = {
        "authenticator_data": b64(data),
        "client_data": b64(client_data),
        "signature": b64(signature),
    }
    return b64(json.dumps(parts).encode())


def test_an_ed25519_key_from_a_file_signs() -> None:
    private = ed25519.Ed25519PrivateKey.generate()
    signer = FileSigner(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    theirs = key(private.public_key(), "ed25519")
    assert verify(theirs, MESSAGE, signer.sign(MESSAGE))
    assert not verify(theirs, MESSAGE + b".", signer.sign(MESSAGE))


def test_a_p256_key_signs_and_another_curve_or_kind_verifies_nothing() -> None:
    signature = b64(P256.sign(MESSAGE, ECDSA(SHA256())))
    assert verify(key(P256.public_key(), "p256"), MESSAGE, signature)
    assert not verify(key(P256.public_key(), "ed25519"), MESSAGE, signature)
    p384 = ec.generate_private_key(SECP384R1())
    assert not verify(key(p384.public_key(), "p256"), MESSAGE, b64(p384.sign(MESSAGE, ECDSA(SHA256()))))


def test_a_fido2_assertion_over_the_message_verifies() -> None:
    theirs = key(P256.public_key(), "fido2", PARTY)
    assert verify(theirs, MESSAGE, assertion())
    assert not verify(theirs, b"something else", assertion())


@pytest.mark.parametrize(
    "bad",
    [
        assertion(flags=0x01),
        assertion(flags=0x04),
        assertion(party="evil.example.com"),
        assertion(type="webauthn.create"),
        assertion(crossOrigin=True),
        b64(P256.sign(MESSAGE, ECDSA(SHA256()))),
        b64(b"{}"),
    ],
    ids=["not verified", "not present", "other party", "a registration", "cross origin", "plain", "empty"],
)
def test_another_assertion_verifies_nothing(bad: str) -> None:
    assert not verify(key(P256.public_key(), "fido2", PARTY), MESSAGE, bad)


def test_a_key_that_is_none_verifies_nothing() -> None:
    broken = SigningKey(id="one", kind="ed25519", public_key=b64(b"no key at all"))
    assert not verify(broken, MESSAGE, b64(b"x" * 64))
    assert not verify(broken, MESSAGE, "?")


def test_a_file_that_is_no_ed25519_key_is_refused_and_not_repeated() -> None:
    other = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for pem in (other, b"canary-5d1f"):
        with pytest.raises(InvalidReference) as refused:
            FileSigner(pem)
        assert "canary-5d1f" not in str(refused.value)

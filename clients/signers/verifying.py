"""Whether a signature is good, for each kind of key that the policy file may name.

Whatever is wrong (the bytes, the key, the kind) is one answer: no proof. A file and a token sign alike, by the
algorithm of their public key (Ed25519, ECDSA over P-256 with SHA-256); a FIDO2 key in a form of its own. What `fido2`
needs loads with the first FIDO2 signature.
"""

import base64
import binascii

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_der_public_key

from clients.signers import Proof
from schemas.errors import KeyUnsuitable
from schemas.signing_keys import SigningKey

_NOT_GOOD = (
    *(InvalidSignature, UnsupportedAlgorithm, KeyUnsuitable),
    *(ValueError, TypeError, KeyError, AttributeError, AssertionError, binascii.Error),
)
"""What the libraries raise for bytes that are not what they should be; the last ones are `fido2`'s."""


class SignatureVerifier:
    def proof(self, key: SigningKey, statement: bytes, signature: str) -> Proof | None:
        try:
            return _proof(key, statement, base64.b64decode(signature, validate=True))
        except _NOT_GOOD:
            return None


def _proof(key: SigningKey, statement: bytes, signature: bytes) -> Proof | None:
    public_key = base64.b64decode(key.public_key, validate=True)
    if key.kind == "fido2":
        from clients.signers.assertions import checked  # noqa: PLC0415  # see above

        return checked(key.relying_party, public_key, statement, signature)
    public = load_der_public_key(public_key)
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, statement)
        return Proof()
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        public.verify(signature, statement, ec.ECDSA(hashes.SHA256()))
        return Proof()
    return None

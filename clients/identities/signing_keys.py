"""Whether a signature by one of the policy's keys is good: for signed requests and policy versions.

Files, tokens and FIDO2 keys sign these as they sign approvals (`clients.signers`), so one verifier judges both; what
keeps one from being taken for the other is the prefix of the statement that is signed.
"""

from typing import Final

from clients.signers import Proof
from clients.signers.verifying import SignatureVerifier
from schemas.signing_keys import SigningKey

_VERIFIER: Final = SignatureVerifier()


def verify(key: SigningKey, message: bytes, signature: str) -> Proof | None:
    """As `clients.identities.Verifier`."""
    return _VERIFIER.proof(key, message, signature)

"""Port: a person's own key, which signs what they approve; and the check of what it has signed.

A signer's private key stays where it is: in a file that only its owner reads, in a token, in a FIDO2 key. What it
signs is a statement with a prefix of its own (`rules.approvals.statement`), never bytes that somebody else chose.
"""

import hashlib
from datetime import datetime
from typing import Protocol

from rules.counters import Counted
from rules.requests import fingerprint_of
from schemas.contract import Contract
from schemas.signing_keys import SigningKey


class Signer(Protocol):
    key: SigningKey
    """As the policy file is to have it: ID, kind and public half."""

    def sign(self, statement: bytes) -> bytes:
        """The signature (Ed25519: 64 bytes; P-256: ECDSA with SHA-256 in DER; FIDO2: `clients.signers.assertions`).

        Raises `KeyUnsuitable`, `KeyStoreUnavailable`, `KeyNotFound`, `PinRejected`. A FIDO2 key waits for its owner.
        """


class Proof(Contract):
    """A signature that is good."""

    counter: int | None = None
    """How often a FIDO2 key has signed, by its own count; None for other keys, 0 for one that does not count."""


def counted(key: SigningKey, statement: bytes, proof: Proof, at: datetime | None) -> Counted | None:
    """The signature's count, to be kept; None of a key that is no FIDO2 key. `at`: as `statement` has it."""
    if proof.counter is None:
        return None
    return Counted(fingerprint_of(key), proof.counter, hashlib.sha256(statement).hexdigest(), at)


class Verifier(Protocol):
    def proof(self, key: SigningKey, statement: bytes, signature: str) -> Proof | None:
        """None unless `signature` (base64) is this key's over this statement. Raises nothing."""

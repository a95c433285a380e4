"""Port: private keys that sign where they are and are never handed out.

A key is found by its ID (PKCS#11's CKA_ID: bytes that the caller chooses), never by a label, which is not
unique. Implementations are thread-safe and re-open lost sessions by themselves.
"""

from typing import Literal, Protocol

from schemas.contract import Contract
from schemas.settings.key_stores import KeyAlgorithm
from schemas.signing_keys import Custody


class KeyFacts(Contract):
    key_id: str
    """Hexadecimal."""
    label: str
    algorithm: str
    public_key: bytes
    """SubjectPublicKeyInfo, DER."""
    extractable: bool


class KeyStore(Protocol):
    name: str

    def generate(self, key_id: bytes, label: str, algorithm: KeyAlgorithm) -> KeyFacts:
        """Make a sensitive, non-extractable signing key; if this ID exists already, return that one.

        Raises `KeyUnsuitable`, `KeyStoreUnavailable`, `PinRejected` (and then never logs in again by itself).
        """

    def describe(self, key_id: bytes) -> KeyFacts:
        """Raises `KeyNotFound`."""

    def custody(self, key_id: bytes) -> Custody | None:
        """What the token says of how it keeps this key; None where there is no token. Raises `KeyNotFound`."""

    def sign(self, key_id: bytes, data: bytes, digest: Literal["sha256", "sha384"]) -> bytes:
        """Sign the digest of `data`: ECDSA as DER (RFC 3279), RSA as PKCS#1 v1.5. Raises `KeyNotFound`."""

    def destroy(self, key_id: bytes) -> None:
        """Destroy both halves; no error if there is none."""

    def list(self) -> tuple[KeyFacts, ...]: ...

    def uri(self, key_id: bytes) -> str | None:
        """RFC 7512 URI by which a service on the same host uses the key, without a PIN value; None if it can't."""

    def check(self) -> None:
        """Raise what stands between this store and its next signature; cheap, for `doctor` and /readyz."""

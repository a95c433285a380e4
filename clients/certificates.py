"""Port: reading certificates and making requests for them, so that no activity needs to load X.509 itself."""

from typing import Protocol

from clients.keystores import KeyStore
from schemas.certificates import CertificateFacts


class CertificateReader(Protocol):
    def read(self, chain: bytes, roots: bytes | None = None) -> CertificateFacts:
        """The leaf of a PEM chain; with `roots` (PEM), whether the chain leads to one of them.

        Raises `CertificateRejected` if it can't be read at all.
        """

    def request(self, store: KeyStore, key_id: bytes, names: tuple[str, ...]) -> bytes:
        """A CSR (PKCS#10, DER) for these names, signed where the key is."""

    def requested_key(self, csr: bytes) -> str:
        """SHA-256 of the SubjectPublicKeyInfo that a CSR asks for."""

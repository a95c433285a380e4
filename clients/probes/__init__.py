"""Port: what a server shows to a client."""

from typing import Protocol

from schemas.contract import Contract


class Handshake(Contract):
    fingerprint: str
    """SHA-256 of the leaf that was served."""
    trusted: bool
    """Whether chain and name verify against the given roots."""
    tls_version: str
    detail: str = ""


class Prober(Protocol):
    def handshake(self, host: str, port: int, server_name: str, roots: bytes, timeout_s: float) -> Handshake:
        """One TLS handshake with this SNI. Raises `VerificationFailed` if there was none to speak of."""

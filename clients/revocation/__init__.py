"""Port: whether a certificate is revoked, as its issuer says.

`good` is said only of what a current, signed statement of the issuer covers. Whatever keeps us from reading one is
`unknown` with the reason in words, never an exception and never `good`.
"""

from typing import Literal, Protocol

from pydantic import AwareDatetime

from schemas.contract import Contract


class RevocationStatus(Contract):
    state: Literal["good", "revoked", "unknown"]
    reason: str = ""
    """Of a revoked one, as RFC 5280 (5.3.1) names it."""
    at: AwareDatetime | None = None
    """When it was revoked."""
    why: str = ""
    """Why it is unknown."""


class Revocations(Protocol):
    def status(self, chain: bytes, anchors: bytes = b"") -> RevocationStatus:
        """Of the leaf of a PEM chain; its issuer's certificate is looked for in the chain and in `anchors` (PEM)."""

"""Why a certificate is revoked (RFC 5280, section 5.3.1), and what is known of its status."""

from enum import StrEnum

from pydantic import AwareDatetime

from schemas.contract import Contract


class RevocationReason(StrEnum):
    """The reasons that a subscriber may give (CA/Browser Forum's Baseline Requirements, section 7.2.2)."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    PRIVILEGE_WITHDRAWN = "privilegeWithdrawn"

    @property
    def code(self) -> int:
        """The CRLReason's number."""
        return _CODES[self]


_CODES = {
    RevocationReason.UNSPECIFIED: 0,
    RevocationReason.KEY_COMPROMISE: 1,
    RevocationReason.AFFILIATION_CHANGED: 3,
    RevocationReason.SUPERSEDED: 4,
    RevocationReason.CESSATION_OF_OPERATION: 5,
    RevocationReason.PRIVILEGE_WITHDRAWN: 9,
}


class Revoked(Contract):
    at: AwareDatetime
    reason: str = RevocationReason.UNSPECIFIED

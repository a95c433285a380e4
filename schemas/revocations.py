"""Revocation: why (RFC 5280, section 5.3.1), what is known of a certificate's status, and the workflow's contracts."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from schemas.certificates import CertificateRenewalInput, EndGrace, Sha256
from schemas.contract import LONGEST_LINE, Contract, Line, WorkflowInput
from schemas.principals import SignedRequest
from schemas.runs import Word


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


class CertificateRevocationInput(WorkflowInput):
    certificate: Annotated[
        str,
        Field(
            description="The certificate's name in the inventory of the settings.",
            pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$",
        ),
    ]
    reason: RevocationReason = Field(description="Why, as the CA is told it.")
    fingerprint: Sha256 | None = Field(
        default=None, description="SHA-256 of the one to revoke; without, what its targets hold now."
    )
    replace: bool = Field(
        default=True,
        description="Have every target serve a new one first; without, what is served is revoked.",
    )
    why: Line = Field(
        default="", max_length=LONGEST_LINE, description="In words, for those who read the evidence later."
    )

    example: ClassVar[dict[str, object]] = {
        "certificate": "www",
        "reason": "keyCompromise",
        "why": "rehearsal of a leaked key",
    }

    @property
    def subject(self) -> str:
        return self.certificate


class ToRevoke(Contract):
    fingerprint: Sha256
    serial: str
    issuer: str
    not_after: AwareDatetime


class RevocationPlan(Contract):
    """What a revocation will do, in full, fixed by its first activity."""

    operation: str
    certificate: str
    reason: RevocationReason
    certificates: tuple[ToRevoke, ...]
    replace: bool
    why: str = ""
    needs_approval: bool = False
    """Whether the policy that holds now asks for approval; no part of what is approved."""

    @property
    def renewal(self) -> CertificateRenewalInput:
        """What replaces it first."""
        return CertificateRenewalInput(
            certificate=self.certificate,
            force=True,
            skip_grace=True,
            reason=f"to be revoked as {self.reason.value}",
        )

    @property
    def way(self) -> EndGrace:
        """What has to end before."""
        return EndGrace(certificate=self.certificate, revocation=self.operation)

    def step(self, fingerprint: str = "") -> "RevocationStep":
        return RevocationStep(operation=self.operation, certificate=self.certificate, fingerprint=fingerprint)


class RevocationStep(Contract):
    operation: str
    certificate: str
    fingerprint: str = ""
    outcome: Literal["", "revoked", "failed"] = ""
    """How the operation is closed."""
    why: str = ""
    word: Word | None = None
    """By whom it was aborted; None: by nobody, it has failed or was cancelled."""


class Served(Contract):
    """Which of the certificates that are to be revoked a target still holds."""

    targets: dict[str, str] = Field(default_factory=dict)
    """Target to fingerprint."""
    request: SignedRequest | None = None
    """By which their replacement is started, once; None where none is, or the workers have no key of their own."""


class CertificateRevocationResult(Contract):
    operation: str
    certificate: str
    revoked: tuple[Sha256, ...]
    replaced_by: dict[str, Sha256] = Field(default_factory=dict)
    """Target to what it serves now; empty where nothing had to be replaced."""

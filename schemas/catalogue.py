"""Every workflow type that a person can start: its contracts, its task queue, and how its ID names its subject."""

from dataclasses import dataclass

from schemas import certificates, revocations
from schemas.contract import Contract, WorkflowInput


@dataclass(frozen=True)
class WorkflowType:
    name: str
    """As a person sees it in the Temporal Web UI."""
    capability: str
    """Also the task queue's and the worker pool's name."""
    takes: type[WorkflowInput]
    gives: type[Contract]
    id_prefix: str
    summary: str

    def workflow_id(self, given: WorkflowInput) -> str:
        """The ID that makes one subject worked on once at a time (conflict policy FAIL)."""
        return f"{self.id_prefix}/{given.subject}"


_TYPES = (
    WorkflowType(
        "CertificateRenewal",
        "certificates",
        certificates.CertificateRenewalInput,
        certificates.CertificateRenewalResult,
        "certificate-renewal",
        "Renew one certificate on all its targets, or leave everything as it was.",
    ),
    WorkflowType(
        "CertificateSweep",
        "certificates",
        certificates.CertificateSweepInput,
        certificates.CertificateSweepResult,
        "certificate-sweep",
        "Look at every certificate and renew those that are due.",
    ),
    WorkflowType(
        "CertificateRevocation",
        "certificates",
        revocations.CertificateRevocationInput,
        revocations.CertificateRevocationResult,
        "certificate-revocation",
        "Revoke a certificate at its CA, once every target serves another.",
    ),
)

WORKFLOW_TYPES: dict[str, WorkflowType] = {kind.name: kind for kind in _TYPES}

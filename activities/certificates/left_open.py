"""Operations that are open on what the settings name no more: who took it out has to hear of it.

A renewal is put back by the next sweep (`activities.certificates.places`); a revocation waits for its certificate.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from activities.certificates.drift import Outline
from activities.certificates.steps import KIND
from schemas.catalogue import WORKFLOW_TYPES
from schemas.settings.certificates import CertificateSettings
from store import Journal, Operation

_CERTIFICATES = tuple(kind.name for kind in WORKFLOW_TYPES.values() if kind.capability == "certificates")


@dataclass(frozen=True)
class LeftOpen:
    kind: str
    certificate: str
    missing: str
    """What the settings name no more: the certificate, or targets of it."""

    @property
    def words(self) -> str:
        return f"{self.kind} of {self.certificate} is open, and the settings have no {self.missing} any more"

    @property
    def what_to_do(self) -> str:
        if self.kind == KIND:
            return "the next sweep puts its targets back; CertificateRenewal of this certificate does so now"
        return "put the certificate back into the settings, and start it again"


def left_open(journal: Journal, inventory: Mapping[str, CertificateSettings]) -> list[LeftOpen]:
    """Oldest first."""
    return [
        LeftOpen(kind, operation.subject, missing)
        for kind in _CERTIFICATES
        for operation in journal.unfinished(kind)
        for missing in _missing(operation, inventory)
    ]


def _missing(operation: Operation, inventory: Mapping[str, CertificateSettings]) -> Iterator[str]:
    settings = inventory.get(operation.subject)
    if settings is None:
        yield f"certificate {operation.subject}"
    elif operation.kind == KIND:
        there = {target.name for target in settings.targets}
        gone = [name for name in Outline.model_validate(operation.state).targets if name not in there]
        if gone:
            yield f"target {', '.join(gone)}"

"""The certificates that Redoubt has had issued, as the journal of their operations knows them.

A certificate and its CA are found there and nowhere else: what Redoubt has not issued, it does not revoke.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import JsonValue

from activities.certificates.steps import KIND, Steps
from rules.points import reached
from schemas.certificates import CertificateFacts
from schemas.evidence import Event
from schemas.revocations import RevocationReason
from store import Operation

LOOKED_BACK = 500
"""Operations on one certificate in which its certificates and keys are looked for: many may have failed in a row."""


@dataclass(frozen=True)
class Issued:
    """A certificate as the journal of its operation knows it."""

    issuer: str
    chain: bytes
    facts: CertificateFacts


class KnownCertificates(Steps):
    """Base of the activities that act on a certificate issued earlier."""

    def _revoke(self, operation: str, one: Issued, reason: RevocationReason) -> str:
        facts: dict[str, JsonValue] = {
            "fingerprint": one.facts.fingerprint,
            "serial": one.facts.serial,
            "issuer": one.issuer,
            "reason": reason.value,
        }

        def effect() -> dict[str, JsonValue]:
            self._around.issuer(one.issuer).revoke(one.chain, reason)
            reached("certificate.revoked")
            return {"revoked": True}

        step = f"revoke/{one.facts.fingerprint}"
        self._irrevocably(operation, step, Event.CERTIFICATE_REVOKED, facts, effect)
        return f"{one.facts.fingerprint[:12]} was revoked at {one.issuer} ({reason})"

    def _issued_before(self, certificate: str) -> Iterator[Issued]:
        """What the ended operations on this certificate had issued; newest first."""
        for ending in self._around.journal.endings(KIND, certificate, LOOKED_BACK):
            yield from self._issued_by(ending.operation)

    def _issued_ever(self, certificate: str) -> Iterator[Issued]:
        """The same, and before it what the open operation has had issued: in its grace, targets hold that."""
        left = self._unfinished_renewal(certificate)
        if left is not None:
            yield from self._issued_by(left.operation)
        yield from self._issued_before(certificate)

    def _unfinished_renewal(self, certificate: str) -> Operation | None:
        unfinished = self._around.journal.unfinished(KIND)
        return next((one for one in unfinished if one.subject == certificate), None)

    def _issued_by(self, operation: str) -> Iterator[Issued]:
        for step in self._around.journal.steps(operation):
            if step.step.startswith("issued/") and step.result:
                yield Issued(
                    issuer=step.step.split("/")[2],
                    chain=str(step.result["chain"]).encode("ascii"),
                    facts=CertificateFacts.model_validate(step.result["facts"]),
                )

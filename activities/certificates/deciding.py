"""Whether a certificate is due, and by whom it may be issued: asked by a renewal and by the sweep alike."""

from collections.abc import Iterable
from datetime import datetime

from activities.certificates.drift import drifted
from activities.certificates.issued import KnownCertificates
from activities.certificates.sensing import heard
from rules import certificates as rules
from schemas.certificates import CertificateFacts, SweepDecision
from schemas.errors import InvalidSettings
from schemas.settings.certificates import CertificateSettings


class DueJudge(KnownCertificates):
    """Base of the activities that decide it."""

    def _due(
        self, name: str, settings: CertificateSettings, held: Iterable[CertificateFacts | None], now: datetime
    ) -> SweepDecision:
        """Due by its dates, or because someone has changed it on a target, or because a CA says so."""
        facts = list(held)
        dated = by_dates(name, settings, facts, now)
        changed = drifted(self._around.journal, self._around.target, name, settings, self._around.looks)
        issued = self._issued_before(name)
        # What was changed is to be replaced whatever the CAs say, so they are not asked.
        by_cas = (
            None
            if changed
            else heard(self._around, issued, facts, policy=settings.renew, decision=dated, now=now)
        )
        return rules.decided(dated, changed, by_cas, now)

    def _trusted(self, certificate: str, settings: CertificateSettings) -> tuple[str, ...]:
        issuers = tuple(name for name in settings.issuers if name not in self._around.distrusted)
        if not issuers:
            raise InvalidSettings(f"certificates.{certificate}.issuers names none that is not distrusted.")
        return issuers


def by_dates(
    name: str, settings: CertificateSettings, held: Iterable[CertificateFacts | None], now: datetime
) -> SweepDecision:
    return rules.due(name, held, settings.renew, now)

"""What the certificates' activities measure, for the worker's Prometheus endpoint.

- Each process shows what it saw itself, last. With several workers a series exists once a process: ask for its
  largest value (`max by (certificate, target)`), which is the newest, since every value is a time or only grows.
- Times are Unix seconds, so that what is left is computed where it is asked: a gauge that nobody sets stays true.
- Labels hold names of the settings only; a certificate that is taken out of them keeps its series until a restart.
"""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from temporalio.common import MetricMeter

from rules.certificates import due_at
from schemas.certificates import CertificateFacts, SweepFindings
from schemas.settings.certificates import RenewalPolicy

_OUTCOMES: Final = ("renewed", "undone")


class Measures:
    """Made once a process with the runtime's meter: an activity's own would label each series by the activity."""

    def __init__(self, meter: MetricMeter = MetricMeter.noop) -> None:
        self._ends = meter.create_gauge(
            "redoubt_certificate_not_after_seconds", "When the certificate on a target ends (Unix time)."
        )
        self._due = meter.create_gauge(
            "redoubt_certificate_due_seconds",
            "When the certificate on a target is to be renewed (Unix time).",
        )
        self._closed_at = meter.create_gauge(
            "redoubt_certificate_last_renewal_seconds", "When a renewal last ended so (Unix time)."
        )
        self._closed = meter.create_counter("redoubt_certificate_renewals_total", "Renewals that ended so.")
        self._issued_at = meter.create_gauge(
            "redoubt_certificate_issued_seconds", "When this issuer last issued the certificate (Unix time)."
        )
        self._switches = meter.create_counter("redoubt_certificate_rotations_total", "Switches of a target.")
        self._unverified = meter.create_counter(
            "redoubt_certificate_verification_failures_total",
            "Switched targets that did not show the certificate by TLS.",
        )
        self._swept_at = meter.create_gauge("redoubt_certificate_sweep_seconds", "When a sweep last looked.")
        self._found = meter.create_gauge("redoubt_certificates_found", "What the last sweep found, by state.")

    def held(
        self,
        certificate: str,
        held: Mapping[str, CertificateFacts | None],
        policy: RenewalPolicy,
        due: datetime | None = None,
    ) -> None:
        """What each target holds, and from when on the sweep takes it for due; without, by its own dates.

        Nothing is shown for a target that holds none.
        """
        for target, facts in held.items():
            if facts is not None:
                labels = {"certificate": certificate, "target": target}
                self._ends.set(int(facts.not_after.timestamp()), labels)
                moment = due or due_at(facts.not_before, facts.not_after, policy)
                self._due.set(int(moment.timestamp()), labels)
                # An increase is seen only of a series that is there: it begins with 0.
                self._switches.add(0, labels)
                self._unverified.add(0, labels)
        for outcome in _OUTCOMES:
            self._closed.add(0, {"certificate": certificate, "outcome": outcome})

    def issued(self, certificate: str, issuer: str) -> None:
        self._issued_at.set(int(time.time()), {"certificate": certificate, "issuer": issuer})

    def switched(self, certificate: str, target: str) -> None:
        self._switches.add(1, {"certificate": certificate, "target": target})

    def unverified(self, certificate: str, target: str) -> None:
        self._unverified.add(1, {"certificate": certificate, "target": target})

    def closed(self, certificate: str, outcome: str) -> None:
        labels = {"certificate": certificate, "outcome": outcome}
        self._closed.add(1, labels)
        self._closed_at.set(int(time.time()), labels)

    def swept(self, found: SweepFindings) -> None:
        self._swept_at.set(int(time.time()))
        states = {
            "due": len(found.due),
            "held_off": len(found.held_off),
            "unreadable": len(found.unreadable),
            "halted": len(found.halted),
            "postponed": found.postponed,
        }
        for state, number in states.items():
            self._found.set(number, {"state": state})

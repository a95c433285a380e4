"""What the sweep finds of each certificate, for those who ask later: in the metrics, and as a note in the evidence.

The CAs are asked by the sweep alone; what `redoubt certs` shows of them is what the sweep has noted. It notes what has
changed since it last looked, so that a certificate of which nothing is new costs nothing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from temporalio import activity

from activities.certificates.steps import Surroundings
from activities.running import this_run
from schemas.certificates import CertificateFacts, SweepDecision, SweepFinding
from schemas.evidence import Entry, Event, Kind
from schemas.settings.certificates import RenewalPolicy


class Findings:
    """Of one process: another one that sweeps notes everything once more."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._last: dict[str, SweepFinding] = {}

    def keep(
        self, decision: SweepDecision, held: Mapping[str, CertificateFacts | None], policy: RenewalPolicy
    ) -> None:
        found = SweepFinding.of(decision, held.values())
        last = self._last.get(decision.certificate)
        if last is not None and last.says(found):
            found = last  # it is due since it was first seen to be, and not since now
        else:
            self._note(decision.certificate, found)
            self._last[decision.certificate] = found
        self._around.measures.held(decision.certificate, held, policy, found.due_at)

    def _note(self, certificate: str, found: SweepFinding) -> None:
        self._around.journal.note(
            Entry(
                operation=f"sweep/{activity.info().workflow_run_id}",
                step=f"found/{certificate}",
                kind=Kind.NOTE,
                what=Event.SWEEP_FOUND,
                subject=certificate,
                who=self._around.service,
                run=this_run(),
                at=datetime.now(UTC),
                facts=found.model_dump(mode="json"),
            )
        )

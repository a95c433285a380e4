"""The grace of a renewal, ended before its time: what replaced the old certificate is itself to be replaced.

While the grace lasts the renewal holds the certificate's workflow ID, so no other one can begin. Whoever needs one
(the sweep, since a CA says that the new certificate is due; a revocation) has it end, and waits until it has. Nothing
is put back, and nothing of the old one is retired: that is left to the renewal that follows.

Who asks is not believed: a revocation is looked up in the records with its authority and its approval, and without one
the CAs are asked again. A run that was reset meanwhile, or that could not hear it yet, is told again.
"""

import contextlib
import math
import time

from temporalio import activity

from activities import clock
from activities.beating import beats
from activities.certificates.in_grace import keep_ended
from activities.certificates.issued import KnownCertificates
from activities.certificates.sensing import heard
from activities.certificates.steps import KIND, REVOCATION, plan_of
from rules import certificates as rules
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import CertificateFacts, CertificateRenewalInput, Done, EndGrace, SweepDecision
from schemas.contract import line_of
from schemas.errors import Fenced, NotAuthorized
from schemas.principals import Act
from schemas.runs import Steer
from store import Operation

_LOOK_EVERY_S = 1.0
_TELL_EVERY_S = 30.0


class GraceJudge(KnownCertificates):
    """Base of the activities that judge what came out of a renewal that is in its grace."""

    def _overruled(
        self, left: Operation, by_target: dict[str, CertificateFacts | None]
    ) -> SweepDecision | None:
        """Why the certificate is due again, by its dates or by what a CA says; None if it is not, or in no grace."""
        if not self._in_its_grace(left):
            return None
        name, facts, now = left.subject, list(by_target.values()), clock.now()
        policy = self._settings(name).renew
        decision = heard(
            self._around,
            self._issued_ever(name),
            facts,
            policy=policy,
            decision=rules.due(name, facts, policy, now),
            now=now,
        )
        return decision.model_copy(update={"in_grace": True}) if decision.due else None

    def _in_its_grace(self, left: Operation) -> bool:
        """Every target is verified, and nothing is put back or retired yet."""
        plan = plan_of(left)
        if plan.undoing or self._settled(left.operation):
            return False
        return self._verified(plan)


class GraceActivities(GraceJudge):
    @activity.defn
    @beats
    def end_grace(self, asked: EndGrace) -> Done:
        """Have the renewal that runs end without (the rest of) its grace; return once none runs any more."""
        given = CertificateRenewalInput(certificate=asked.certificate)
        workflow_id, open_run = WORKFLOW_TYPES[KIND].workflow_id(given), self._around.runs().open_run
        why, told, turn, again = self._why(asked), "", 0, 0.0
        while run := open_run(workflow_id):
            if told not in {"", run}:
                why, turn, again = self._why(asked), 0, 0.0  # of another renewal it may not be true
            if why and time.monotonic() >= again:
                heard = self._told(run, given, why, turn)
                turn, again = turn + 1, math.inf if heard else time.monotonic() + _TELL_EVERY_S
            told = run
            time.sleep(_LOOK_EVERY_S)  # where the activity is cancelled this raises
        return Done(words=why)

    def _told(self, run: str, given: CertificateRenewalInput, why: str, turn: int) -> bool:
        info, steer = activity.info(), Steer(reason=line_of(why))
        request = self._around.signed_update(Act.END_GRACE, KIND, given, steer, run)
        once = f"{info.workflow_run_id}/{info.activity_id}/{run}/{turn}"
        workflow_id = WORKFLOW_TYPES[KIND].workflow_id(given)
        return self._around.runs().tell(run, workflow_id, Act.END_GRACE, steer, request, once)

    def _why(self, asked: EndGrace) -> str:
        """In words; empty if there is no reason (any more)."""
        left = self._unfinished_renewal(asked.certificate)
        why = self._by_revocation(asked) if asked.revocation else self._by_cas(asked.certificate, left)
        if why and left is not None:
            with contextlib.suppress(Fenced):  # it goes back, or has ended: there is no grace
                keep_ended(self._around.journal, left.operation, why)
        return why

    def _by_revocation(self, asked: EndGrace) -> str:
        opened = self._around.journal.operation(asked.revocation)
        if (opened.kind, opened.subject, opened.closed) != (REVOCATION, asked.certificate, None):
            raise NotAuthorized(f"No revocation of {asked.certificate} is under way that asks for this.")
        self._around.gate.confirm(opened.operation, "grace")
        self._around.approvals.granted(opened.operation)
        return f"the revocation {opened.operation} waits for it"

    def _by_cas(self, certificate: str, left: Operation | None) -> str:
        if left is None:
            return ""
        overruled = self._overruled(left, self._held_by(self._settings(certificate).targets))
        return "" if overruled is None else overruled.why

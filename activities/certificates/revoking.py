"""A revocation: which certificates, whether a target still holds one, and the revocation itself at its CA.

It can't be undone. So it waits until its intent is in the evidence log, and where a replacement was asked for, each
certificate is looked for on every target again, right before it is revoked.
"""

from temporalio import activity

from activities import clock
from activities.beating import beats
from activities.certificates.giving_up import GivingUp, plan_of_revocation
from activities.certificates.issued import Issued
from activities.certificates.steps import KIND, REVOCATION, plan_of
from activities.running import refuse_another_id, this_run
from schemas.certificates import Done
from schemas.errors import StillServed, UnknownSubject
from schemas.revocations import CertificateRevocationInput, RevocationPlan, RevocationStep, Served, ToRevoke


class RevokingActivities(GivingUp):
    @activity.defn
    @beats
    def plan_revocation(self, given: CertificateRevocationInput) -> RevocationPlan:
        """Fix what will be revoked, or find the operation that an ended run has left open."""
        self._settings(given.certificate)
        refuse_another_id(REVOCATION, given)
        found = [
            one for one in self._around.journal.unfinished(REVOCATION) if one.subject == given.certificate
        ]
        authority = self._around.gate.admit(REVOCATION, given, found[0].operation if found else None)
        for left in found:
            self._around.gate.record(left.operation, authority)
            return self._asking(plan_of_revocation(left))
        plan = RevocationPlan(
            operation="",
            certificate=given.certificate,
            reason=given.reason,
            certificates=self._wanted(given),
            replace=given.replace,
            why=given.why,
        )
        opened = self._around.journal.open(
            kind=REVOCATION,
            subject=given.certificate,
            workflow_id=activity.info().workflow_id or "",
            run=this_run(),
            who=self._around.service,
            correlation_id="",
            state=plan.model_dump(mode="json", exclude={"needs_approval"}),
        )
        self._around.gate.record(opened.operation, authority)
        return self._asking(plan_of_revocation(opened))

    def _asking(self, plan: RevocationPlan) -> RevocationPlan:
        """The plan with what is no part of it: whether approval is needed now."""
        needed = self._around.approvals.needed(REVOCATION, plan.certificate)
        return plan.model_copy(update={"needs_approval": needed})

    def _wanted(self, given: CertificateRevocationInput) -> tuple[ToRevoke, ...]:
        """Those that Redoubt had issued and that have not ended: a CA revokes nothing that has."""
        wanted = (
            {given.fingerprint}
            if given.fingerprint
            else set(self._held_by_targets(given.certificate).values())
        )
        now = clock.now()
        found = {
            one.facts.fingerprint: _to_revoke(one)
            for one in self._issued_ever(given.certificate)
            if one.facts.fingerprint in wanted and one.facts.not_after > now
        }
        if not found:
            which = given.fingerprint or f"that a target of {given.certificate} holds"
            raise UnknownSubject(
                f"There is no certificate {which} that Redoubt had issued and that is still valid."
            )
        return tuple(found.values())

    @activity.defn
    @beats
    def still_served(self, step: RevocationStep) -> Served:
        """Which targets hold one of the certificates that are to be revoked, and the request to have them replaced.

        It is signed here, for a request is good once and not for long, and only for what may be replaced by now.
        """
        plan = self._revocation(step)
        doomed = {one.fingerprint for one in plan.certificates}
        held = self._held_by_targets(plan.certificate)
        targets = {name: one for name, one in held.items() if one in doomed}
        if not targets or not plan.replace:
            return Served(targets=targets)
        self._around.gate.confirm(plan.operation, "replace")
        self._around.approvals.granted(plan.operation)
        return Served(targets=targets, request=self._around.signed(KIND, plan.renewal, plan.operation))

    @activity.defn
    @beats
    def revoke(self, step: RevocationStep) -> Done:
        """Revoke one certificate of the plan at the CA that issued it."""
        plan = self._revocation(step)
        if all(one.fingerprint != step.fingerprint for one in plan.certificates):
            raise UnknownSubject("The plan of this revocation does not name this certificate.")
        self._refuse_while_it_may_be_put_back(plan, step.fingerprint)
        if plan.replace:
            holding = [
                name
                for name, held in self._held_by_targets(plan.certificate).items()
                if held == step.fingerprint
            ]
            if holding:
                raise StillServed(f"{', '.join(holding)} still holds {step.fingerprint[:12]}.")
        for known in self._issued_ever(plan.certificate):
            if known.facts.fingerprint == step.fingerprint:
                return Done(words=self._revoke(plan.operation, known, plan.reason))
        raise UnknownSubject(f"The journal does not know certificate {step.fingerprint} any more.")

    def _refuse_while_it_may_be_put_back(self, plan: RevocationPlan, fingerprint: str) -> None:
        left = self._unfinished_renewal(plan.certificate)
        if left is not None and fingerprint in plan_of(left).previous.values():
            raise StillServed(
                f"A renewal of {plan.certificate} is under way and may still put {fingerprint[:12]} back."
            )

    @activity.defn
    @beats
    def close_revocation(self, step: RevocationStep) -> Done:
        """Let the next revocation of this certificate begin. What is not done is given up only for what shows that."""
        opened = self._around.journal.operation(step.operation)
        plan, by = plan_of_revocation(opened), {}
        if step.outcome == "failed":
            by = self._given_up(opened, plan, step.word)
        else:
            self._refuse_unless_shown(opened, step.outcome, [one.fingerprint for one in plan.certificates])
        self._around.journal.close(step.operation, step.outcome, {"why": step.why, **by})
        return Done()

    def _held_by_targets(self, certificate: str) -> dict[str, str]:
        held = self._held_by(self._settings(certificate).targets)
        return {name: facts.fingerprint for name, facts in held.items() if facts}

    def _revocation(self, step: RevocationStep) -> RevocationPlan:
        return plan_of_revocation(self._around.journal.operation(step.operation))


def _to_revoke(one: Issued) -> ToRevoke:
    facts = one.facts
    return ToRevoke(
        fingerprint=facts.fingerprint, serial=facts.serial, issuer=one.issuer, not_after=facts.not_after
    )

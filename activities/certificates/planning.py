"""Before anything is done: what a renewal will do."""

from collections.abc import Mapping

from temporalio import activity

from activities import clock
from activities.beating import beats
from activities.certificates.deciding import DueJudge, by_dates
from activities.certificates.in_grace import keep_ended
from activities.certificates.steps import KIND, plan_of
from activities.running import refuse_another_id, this_run
from rules.waves import waves
from schemas.certificates import (
    CertificateFacts,
    CertificateRenewalInput,
    Group,
    RecordedPlaces,
    RenewalPlan,
    SweepDecision,
)
from schemas.errors import RedoubtError
from schemas.policies import Authorization
from schemas.settings.certificates import CertificateSettings
from store import Operation

SHARED = "shared"


class PlanningActivities(DueJudge):
    @activity.defn
    @beats
    def plan_renewal(self, given: CertificateRenewalInput) -> RenewalPlan:
        """Fix what will be done, or find the operation that an ended run has left open."""
        now = clock.now()
        found = [one for one in self._around.journal.unfinished(KIND) if one.subject == given.certificate]
        if not found:
            self._settings(given.certificate)  # before anyone's signed request is used up
        refuse_another_id(KIND, given)
        authority = self._around.gate.admit(KIND, given, found[0].operation if found else None)
        for left in found:
            return self._taken_up(left, authority, given)
        settings = self._settings(given.certificate)
        held = self._held_by(settings.targets)
        # Who forces it need not wait for what targets and CAs say of the old one.
        look = by_dates if given.force else self._due
        decision = look(given.certificate, settings, held.values(), now)
        plan = _planned(given, settings, held, decision, self._trusted(given.certificate, settings))
        plan = plan.model_copy(update={"places": self._places.recorded(given.certificate, settings)})
        if not plan.due:
            return plan.model_copy(update={"places": RecordedPlaces()})
        self._refuse_unless_checkable(plan.issuers)
        opened = self._open(plan)
        self._around.gate.record(opened.operation, authority)
        return self._asking(opened)

    def _taken_up(
        self, left: Operation, authority: Authorization | None, given: CertificateRenewalInput
    ) -> RenewalPlan:
        """In the direction in which it was going; but nothing goes forward for what the settings name no more."""
        plan = plan_of(left).model_copy(update={"settled": self._settled(left.operation)})
        if not plan.undoing and not plan.settled and plan.certificate not in self._around.inventory:
            self._around.journal.undo(left.operation, f"the settings have no {plan.certificate} any more")
            return self._asking(plan.model_copy(update={"undoing": True}))
        if not plan.undoing:
            self._around.gate.record(left.operation, authority)
            if given.skip_grace and plan.grace_s:
                keep_ended(self._around.journal, left.operation, given.reason or "it is to be skipped")
        return self._asking(plan)

    def _refuse_unless_checkable(self, issuers: tuple[str, ...]) -> None:
        """What can't be checked later must not be ordered now. One that is away keeps nobody from asking another."""
        away: list[RedoubtError] = []
        for name in issuers:
            try:
                self._around.issuer(name).trust_anchors()
            except RedoubtError as error:
                if not error.type.retryable:
                    raise
                away.append(error)
        if len(away) == len(issuers):
            raise away[0]

    def _asking(self, plan: RenewalPlan) -> RenewalPlan:
        """The plan as a run is told: with whether the policy asks for its approval now, and without its places."""
        needed = self._around.approvals.needed(KIND, plan.certificate)
        return plan.model_copy(update={"needs_approval": needed, "places": RecordedPlaces()})

    def _open(self, plan: RenewalPlan) -> RenewalPlan:
        opened = self._around.journal.open(
            kind=KIND,
            subject=plan.certificate,
            workflow_id=activity.info().workflow_id or "",
            run=this_run(),
            who=self._around.service,
            correlation_id="",
            state=plan.model_dump(mode="json", exclude={"needs_approval"}),
        )
        return plan_of(opened)


def _planned(
    given: CertificateRenewalInput,
    settings: CertificateSettings,
    held: Mapping[str, CertificateFacts | None],
    decision: SweepDecision,
    issuers: tuple[str, ...],
) -> RenewalPlan:
    names = tuple(held)
    own_keys = settings.key.holder == "target"
    groups = (
        [Group(name=one, targets=(one,)) for one in names]
        if own_keys
        else [Group(name=SHARED, targets=names)]
    )
    return RenewalPlan(
        operation="",
        certificate=given.certificate,
        names=settings.names,
        issuers=issuers,
        key_holder=settings.key.holder,
        key_algorithm=settings.key.algorithm,
        groups=tuple(groups),
        waves=waves(names, settings.waves),
        previous={name: facts.fingerprint for name, facts in held.items() if facts},
        grace_s=0 if given.skip_grace else settings.grace_s,
        issuer_patience_s=settings.issuer_patience_s,
        target_patience_s=settings.target_patience_s,
        undo_patience_s=settings.undo_patience_s,
        verify_timeout_s=settings.verify_timeout_s,
        revoke_previous=settings.after_grace.revoke and any(held.values()),
        destroy_keys=settings.after_grace.destroy_keys and any(held.values()),
        due=decision.due or given.force,
        why=decision.why,
        reason=given.reason,
    )

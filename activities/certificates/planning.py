"""Before anything is done: what a renewal will do, and which certificates are due."""

import contextlib
import itertools
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from temporalio import activity

from activities import clock
from activities.beating import beats
from activities.certificates.drift import drifted
from activities.certificates.findings import Findings
from activities.certificates.grace import GraceJudge
from activities.certificates.left_open import left_open
from activities.certificates.lists import refresh_lists
from activities.certificates.sensing import heard
from activities.certificates.steps import KIND, Surroundings, plan_of
from activities.looking import Looks
from rules import certificates as rules
from rules.limits import Begun
from rules.replacing import in_waves
from rules.waves import waves
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import (
    CertificateFacts,
    CertificateRenewalInput,
    CertificateSweepInput,
    Group,
    RecordedPlaces,
    RenewalPlan,
    SweepDecision,
    SweepFindings,
)
from schemas.errors import InvalidInput, InvalidSettings, RedoubtError
from schemas.evidence import Entry, Event, Kind
from schemas.policies import Authorization
from schemas.settings.certificates import CertificateSettings
from store import Operation

SHARED = "shared"

SWEEP: Final = Looks(each_s=400.0, all_s=600.0)
"""How a sweep looks at certificates; each of them has its own targets looked at side by side."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

LARGEST_SWEEP = 250
"""Renewals that one sweep starts: with their signed requests they stay below 256 KiB in one payload."""


class PlanningActivities(GraceJudge):
    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._findings = Findings(around)

    @activity.defn
    @beats
    def plan_renewal(self, given: CertificateRenewalInput) -> RenewalPlan:
        """Fix what will be done, or find the operation that an ended run has left open."""
        now = clock.now()
        found = [one for one in self._around.journal.unfinished(KIND) if one.subject == given.certificate]
        if not found:
            self._settings(given.certificate)  # before anyone's signed request is used up
        _refuse_another_id(given)
        authority = self._around.gate.admit(KIND, given, found[0].operation if found else None)
        for left in found:
            return self._taken_up(left, authority)
        settings = self._settings(given.certificate)
        held = self._held_by(settings.targets)
        # Who forces it need not wait for what targets and CAs say of the old one.
        look = _by_dates if given.force else self._due
        decision = look(given.certificate, settings, held.values(), now)
        plan = _planned(given, settings, held, decision, self._trusted(given.certificate, settings))
        plan = plan.model_copy(update={"places": self._places.recorded(given.certificate, settings)})
        if not plan.due:
            return plan.model_copy(update={"places": RecordedPlaces()})
        self._refuse_unless_checkable(plan.issuers)
        opened = self._open(plan)
        self._around.gate.record(opened.operation, authority)
        return self._asking(opened)

    def _taken_up(self, left: Operation, authority: Authorization | None) -> RenewalPlan:
        """In the direction in which it was going; but nothing goes forward for what the settings name no more."""
        plan = plan_of(left).model_copy(update={"settled": self._settled(left.operation)})
        if not plan.undoing and not plan.settled and plan.certificate not in self._around.inventory:
            self._around.journal.undo(left.operation, f"the settings have no {plan.certificate} any more")
            return self._asking(plan.model_copy(update={"undoing": True}))
        if not plan.undoing:
            self._around.gate.record(left.operation, authority)
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

    def _trusted(self, certificate: str, settings: CertificateSettings) -> tuple[str, ...]:
        issuers = tuple(name for name in settings.issuers if name not in self._around.distrusted)
        if not issuers:
            raise InvalidSettings(f"certificates.{certificate}.issuers names none that is not distrusted.")
        return issuers

    def _asking(self, plan: RenewalPlan) -> RenewalPlan:
        """The plan as a run is told: with whether the policy asks for its approval now, and without its places."""
        needed = self._around.approvals.needed(KIND, plan.certificate)
        return plan.model_copy(update={"needs_approval": needed, "places": RecordedPlaces()})

    def _open(self, plan: RenewalPlan) -> RenewalPlan:
        info = activity.info()
        opened = self._around.journal.open(
            kind=KIND,
            subject=plan.certificate,
            workflow_id=info.workflow_id or "",
            run=f"{info.workflow_id}/{info.workflow_run_id}",
            who=self._around.service,
            correlation_id="",
            state=plan.model_dump(mode="json", exclude={"needs_approval"}),
        )
        return plan_of(opened)

    @activity.defn
    @beats
    def find_due(self, _given: CertificateSweepInput) -> SweepFindings:
        """Look at what every target holds, and at operations that ended runs have left open."""
        now = clock.now()
        refresh_lists(self._around)
        unfinished = self._around.journal.unfinished(KIND)
        left = {operation.subject: operation for operation in unfinished}
        due: list[SweepDecision] = []
        held_off: list[SweepDecision] = []
        unreadable: list[SweepDecision] = []
        for name, decision in self._decisions(left, now).items():
            if isinstance(decision, RedoubtError):
                activity.logger.warning("%s can't be looked at: %s", name, decision.in_full)
                unreadable.append(SweepDecision(certificate=name, due=False, why=decision.detail))
            elif decision.due:
                (held_off if decision.held_off else due).append(decision)
        unreadable += self._waiting_for_settings()
        # What ends first goes first; what an earlier run has left goes on by itself, if that run is still there.
        due.sort(key=lambda one: (one.certificate in left and not one.in_grace, one.not_after or _LONG_AGO))
        # What still goes back has failed, too.
        failed = sum(one.distrusted for one in held_off) + sum(one.undoing for one in left.values())
        planned = in_waves(due, self._around.inventory, self._around.replacement, failed)
        may_begin, waiting = self._with_room(
            planned.due, {one.subject for one in unfinished if self._around.room.has_begun(one.operation)}
        )
        held_off += waiting
        findings = SweepFindings(
            looked_at=len(self._around.inventory),
            due=tuple(self._signed(decision) for decision in may_begin[:LARGEST_SWEEP]),
            unreadable=tuple(unreadable[:LARGEST_SWEEP]),
            held_off=tuple(held_off[:LARGEST_SWEEP]),
            halted=planned.halted[:LARGEST_SWEEP],
            failed_lately=failed,
            replacement=self._around.replacement,
            postponed=max(0, len(may_begin) - LARGEST_SWEEP),
        )
        self._note(findings)
        self._around.measures.swept(findings)
        return findings

    def _with_room(
        self, due: Iterable[SweepDecision], begun: Collection[str]
    ) -> tuple[list[SweepDecision], list[SweepDecision]]:
        """Those that may begin now, all of them together, and those that wait for a window or for room."""
        may: list[SweepDecision] = []
        waiting: list[SweepDecision] = []
        beside: list[Begun] = []
        for one in due:
            why = "" if one.certificate in begun else self._around.room.waits(KIND, one.certificate, beside)
            if why:
                waiting.append(one.model_copy(update={"held_off": True, "why": f"{one.why}; {why}"}))
                continue
            may.append(one)
            beside.append(Begun(KIND, one.certificate, datetime.now(UTC), under_way=True))
        return may, waiting

    def _decisions(
        self, left: Mapping[str, Operation], now: datetime
    ) -> dict[str, SweepDecision | RedoubtError]:
        """Each certificate's decision, or why there is none."""
        inventory = self._around.inventory

        def look(name: str) -> SweepDecision:
            return self._replaceable(self._decide(name, inventory[name], left.get(name), now))

        answers = SWEEP.at({name: name for name in inventory}, look)
        for name in sorted(left.keys() - inventory.keys()):
            why = (
                "the settings have it no more, and its renewal was left unfinished: its targets are put back"
            )
            answers[name] = SweepDecision(certificate=name, due=True, why=why)
        return answers

    def _waiting_for_settings(self) -> list[SweepDecision]:
        """What nobody takes up as long as the settings do not name it; renewals are among those that are due."""
        return [
            SweepDecision(certificate=one.certificate, due=False, why=f"{one.words}: {one.what_to_do}")
            for one in left_open(self._around.journal, self._around.inventory)
            if one.kind != KIND
        ]

    def _replaceable(self, decision: SweepDecision) -> SweepDecision:
        """Raises `InvalidSettings` where its issuer is distrusted and no other is named: that is no failed renewal."""
        if decision.distrusted:
            self._trusted(decision.certificate, self._settings(decision.certificate))
        return decision

    def _decide(
        self, name: str, settings: CertificateSettings, left: Operation | None, now: datetime
    ) -> SweepDecision:
        if left is not None:
            unfinished = SweepDecision(
                certificate=name, due=True, why="an earlier renewal was left unfinished"
            )
            with contextlib.suppress(RedoubtError):  # a target that can't be looked at now
                by_target = self._held_by(settings.targets)
                overruled = self._overruled(left, by_target)
                by_dates = _by_dates(name, settings, by_target.values(), now)
                self._findings.keep(overruled or by_dates, by_target, settings.renew)
                return overruled or unfinished
            return unfinished
        by_target = self._held_by(settings.targets)
        held = list(by_target.values())
        decision = self._due(name, settings, held, now)
        self._findings.keep(decision, by_target, settings.renew)
        if not decision.due:
            return decision
        ends = itertools.takewhile(
            lambda end: end.outcome != "renewed", self._around.journal.endings(KIND, name)
        )
        until = rules.held_off_until([end.at for end in ends], held, settings.renew)
        if until is None or until <= now:
            return decision
        why = f"{decision.why}; its last renewal failed, so the sweep tries again from {until:%Y-%m-%d %H:%M:%S} UTC"
        return decision.model_copy(update={"held_off": True, "why": why})

    def _due(
        self, name: str, settings: CertificateSettings, held: Iterable[CertificateFacts | None], now: datetime
    ) -> SweepDecision:
        """Due by its dates, or because someone has changed it on a target, or because a CA says so."""
        facts = list(held)
        decision = _by_dates(name, settings, facts, now)
        words = drifted(self._around.journal, self._around.target, name, settings, self._around.looks)
        if words is not None:
            return decision.model_copy(update={"due": True, "due_at": now, "why": words})
        issued = self._issued_before(name)
        return heard(self._around, issued, facts, policy=settings.renew, decision=decision, now=now)

    def _signed(self, decision: SweepDecision) -> SweepDecision:
        return decision.model_copy(update={"request": self._around.signed(KIND, decision.renewal, "")})

    def _note(self, found: SweepFindings) -> None:
        info = activity.info()
        entry = Entry(
            operation=f"sweep/{info.workflow_run_id}",
            step="decided",
            kind=Kind.NOTE,
            what=Event.SWEEP_DECIDED,
            subject="certificates",
            who=self._around.service,
            run=f"{info.workflow_id}/{info.workflow_run_id}",
            at=datetime.now(UTC),
            facts={
                "looked_at": found.looked_at,
                "due": [decision.certificate for decision in found.due],
                "held_off": [decision.certificate for decision in found.held_off],
                "distrusted": [decision.certificate for decision in found.due if decision.distrusted],
                "halted": [decision.certificate for decision in found.halted],
                "postponed": found.postponed,
            },
        )
        self._around.journal.note(entry)


def _by_dates(
    name: str, settings: CertificateSettings, held: Iterable[CertificateFacts | None], now: datetime
) -> SweepDecision:
    return rules.due(name, held, settings.renew, now)


def _refuse_another_id(given: CertificateRenewalInput) -> None:
    """The ID is what keeps two runs from working on one certificate; a person can type any into the Web UI."""
    wanted = WORKFLOW_TYPES[KIND].workflow_id(given)
    if activity.info().workflow_id != wanted:
        raise InvalidInput(f"A renewal of {given.certificate} is started under the workflow ID {wanted!r}.")


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

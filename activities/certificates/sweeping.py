"""The sweep's look: which certificates are due, and which of them may begin now."""

import contextlib
import itertools
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from temporalio import activity
from temporalio.exceptions import CancelledError

from activities import clock
from activities.beating import beats
from activities.certificates.deciding import DueJudge, by_dates
from activities.certificates.findings import Findings
from activities.certificates.grace import GraceJudge
from activities.certificates.left_open import left_open
from activities.certificates.lists import refresh_lists
from activities.certificates.steps import KIND, Surroundings
from activities.looking import Looks
from activities.running import this_run
from rules import certificates as rules
from rules.limits import Begun
from rules.replacing import in_waves
from schemas.certificates import CertificateSweepInput, LookAgain, SweepDecision, SweepFindings
from schemas.errors import Internal, RedoubtError
from schemas.evidence import Entry, Event, Kind
from schemas.settings.certificates import CertificateSettings
from store import Operation

SWEEP: Final = Looks(each_s=400.0, all_s=600.0)
"""How a sweep looks at certificates; each of them has its own targets looked at side by side."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

LARGEST_SWEEP = 250
"""Renewals that one sweep starts: with their signed requests they stay below 256 KiB in one payload."""


class SweepingActivities(GraceJudge, DueJudge):
    def __init__(self, around: Surroundings) -> None:
        super().__init__(around)
        self._findings = Findings(around)

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

    @activity.defn
    @beats
    def look_again(self, asked: LookAgain) -> SweepDecision:
        """Of one that was found due long ago: whether it still is, with another request, for the first has expired.

        It is signed for nothing else: whoever can write to Temporal can ask, too.
        """
        name, left = asked.certificate, self._unfinished_renewal(asked.certificate)
        if left is not None and name not in self._around.inventory:
            return self._signed(_taken_out(name))
        decision = self._replaceable(self._decide(name, self._settings(name), left, clock.now()))
        return self._signed(decision) if decision.due and not decision.held_off else decision

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
            beside.append(Begun(KIND, one.certificate, clock.now(), under_way=True))
        return may, waiting

    def _decisions(
        self, left: Mapping[str, Operation], now: datetime
    ) -> dict[str, SweepDecision | RedoubtError]:
        """Each certificate's decision, or why there is none."""
        inventory = self._around.inventory

        def look(name: str) -> SweepDecision:
            try:
                return self._replaceable(self._decide(name, inventory[name], left.get(name), now))
            except (RedoubtError, CancelledError):
                raise
            except Exception as unforeseen:
                # It is about this one: the others must not wait for its mending.
                activity.logger.exception("%s can't be looked at", name)
                raise Internal(type(unforeseen).__name__) from unforeseen

        answers = SWEEP.at({name: name for name in inventory}, look)
        for name in sorted(left.keys() - inventory.keys()):
            answers[name] = _taken_out(name)
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
                dated = by_dates(name, settings, by_target.values(), now)
                self._findings.keep(overruled or dated, by_target, settings.renew)
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

    def _signed(self, decision: SweepDecision) -> SweepDecision:
        return decision.model_copy(update={"request": self._around.signed(KIND, decision.renewal, "")})

    def _note(self, found: SweepFindings) -> None:
        entry = Entry(
            operation=f"sweep/{activity.info().workflow_run_id}",
            step="decided",
            kind=Kind.NOTE,
            what=Event.SWEEP_DECIDED,
            subject="certificates",
            who=self._around.service,
            run=this_run(),
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


def _taken_out(name: str) -> SweepDecision:
    why = "the settings have it no more, and its renewal was left unfinished: its targets are put back"
    return SweepDecision(certificate=name, due=True, why=why)

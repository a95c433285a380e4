"""The sweep: finds which certificates are due, and has each renewed.

What an issuer that is distrusted has issued is replaced in waves (`rules.replacing`), beside everything else: a wave
begins once every renewal of the one before has ended, and none does once too many have failed.

Each renewal is started by a request that was signed when it was found due, and that is good for a day. What is begun
later (it was paused, or waves took so long) is looked at once more before, and gets a new one.
"""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)
from temporalio.workflow import ChildWorkflowCancellationType, ParentClosePolicy

from activities.certificates.grace import GraceActivities as Grace
from activities.certificates.sweeping import SweepingActivities as Sweeping
from rules.replacing import may_begin
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import (
    CertificateSweepInput,
    CertificateSweepResult,
    EndGrace,
    LookAgain,
    SweepDecision,
    SweepFindings,
)
from schemas.principals import REQUEST_HEADER
from workflows.certificates.renewal import CertificateRenewal
from workflows.doing import done
from workflows.steering import Steerable
from workflows.story import Story, plain

A_GRACE = timedelta(days=1)
"""One attempt at ending a grace: until the renewal has closed."""
A_LOOK_AT_ALL = timedelta(minutes=15)
"""One attempt at looking at every target of every certificate, side by side (`activities.looking` bounds it)."""
IN_TIME = timedelta(hours=1)
"""So long before its end a request is used no more: a renewal's first step may have to wait for a worker."""
OPERATOR = "operator: pause, abort"


@workflow.defn
class CertificateSweep(Steerable):
    @workflow.run
    async def run(self, given: CertificateSweepInput) -> CertificateSweepResult:
        self.story = Story("certificates")
        self.ends: dict[str, str] = {}
        self.halted: tuple[str, ...] = ()
        self.story.begin()
        self.story.enter("looking")
        found = await done(Sweeping.find_due, given, "look at every certificate", 300, A_LOOK_AT_ALL)
        self.story.steps = len(found.due)
        self._tell(found)
        self.story.enter("renewing", waits_for=f"{len(found.due)} renewals", who_can_act=OPERATOR)
        self.places = asyncio.Semaphore(given.max_concurrent)
        waved = asyncio.create_task(self._in_waves(found, given))
        try:
            await self._within(given, (one for one in found.due if not one.wave))
            await waved
        finally:
            waved.cancel()
        return self._swept(found)

    def _tell(self, found: SweepFindings) -> None:
        for state, decisions in (
            ("due", found.due),
            ("unreadable", found.unreadable),
            ("held off", found.held_off),
        ):
            for decision in decisions:
                wave = {"wave": str(decision.wave)} if decision.wave else {}
                self.story.row(decision.certificate, state=state, why=plain(decision.why), **wave)
        if found.halted:
            self._halt(found.halted, found.failed_lately)

    async def _in_waves(self, found: SweepFindings, given: CertificateSweepInput) -> None:
        waves = sorted({one.wave for one in found.due if one.wave})
        for number in waves:
            wave = [one for one in found.due if one.wave == number]
            told = f"{', '.join(one.certificate for one in wave)[:200]} to be replaced"
            self.story.enter(f"replacing, wave {number} of {waves[-1]}", waits_for=told, who_can_act=OPERATOR)
            await self._within(given, wave)
            failed = found.failed_lately + sum(
                self.ends.get(one.certificate) == "failed" for one in found.due if one.wave
            )
            left = [one for one in found.due if one.wave > number]
            unknown = any(
                self.ends.get(one.certificate) in {None, "running", "already_running"} for one in wave
            )
            if left and (unknown or not may_begin(failed, found.replacement.stop_after)):
                self._halt(left, failed)
                return
            if left and found.replacement.pause_s:
                await self.rest(found.replacement.pause_s, "before the next wave")

    def _halt(self, left: Iterable[SweepDecision], failed: int) -> None:
        self.halted = tuple(one.certificate for one in left)
        for name in self.halted:
            self.story.row(name, state="halted")
        why = f"{failed} have failed" if failed else "some are still under way"
        self.story.severe("critical")
        self.story.result = f"No further wave began: {plain(why)}. {len(self.halted)} are not replaced."
        self.story.tell()

    async def _within(self, given: CertificateSweepInput, due: Iterable[SweepDecision]) -> None:
        """Until they have ended. One that is paused, or in its grace, must not keep the next sweep from the others."""
        renewals = [asyncio.create_task(self._renew(decision, given.jitter_s)) for decision in due]
        if renewals:
            ended, left = await workflow.wait(renewals, timeout=given.jitter_s + given.wait_s)
            for renewal in left:
                renewal.cancel()
            for renewal in ended:
                renewal.result()

    def _swept(self, found: SweepFindings) -> CertificateSweepResult:
        def ended(how: str) -> tuple[str, ...]:
            return tuple(name for name, end in self.ends.items() if end == how)

        failed = (*ended("failed"), *(decision.certificate for decision in found.unreadable))
        if failed and not self.halted:
            self.story.severe("warning")
        self.story.enter("done")
        begun = self.ends.keys() | set(self.halted)
        waiting = sum(decision.certificate not in begun for decision in found.due)
        return CertificateSweepResult(
            looked_at=found.looked_at,
            renewed=ended("renewed"),
            already_running=ended("already_running"),
            failed=failed,
            running=ended("running"),
            held_off=tuple(decision.certificate for decision in found.held_off),
            halted=self.halted,
            postponed=found.postponed + waiting,
        )

    async def _renew(self, decision: SweepDecision, jitter_s: float) -> None:
        name = decision.certificate
        if jitter_s:
            await workflow.sleep(workflow.random().uniform(0, jitter_s), summary=f"jitter before {name}")
        async with self.places:
            await self.may_go_on()
            self._ended(name, "running")
            self._ended(name, await self._renewal(decision))
        self.story.step_done()

    def _ended(self, name: str, how: str) -> None:
        self.ends[name] = how
        self.story.row(name, state=how)

    async def _renewal(self, decision: SweepDecision) -> str:
        if decision.in_grace and not await self._out_of_its_grace(decision):
            return "failed"
        if decision.request is not None and workflow.now() > decision.request.expires - IN_TIME:
            fresh = await self._looked_at_again(decision)
            if fresh is None or not fresh.due or fresh.held_off:
                return "failed" if fresh is None else "not_due"
            decision = fresh
        kind, given = WORKFLOW_TYPES["CertificateRenewal"], decision.renewal
        try:
            renewed = await workflow.execute_child_workflow(
                CertificateRenewal.run,
                given,
                id=kind.workflow_id(given),
                # It lives longer than the sweep, and is not cancelled with it.
                parent_close_policy=ParentClosePolicy.ABANDON,
                cancellation_type=ChildWorkflowCancellationType.ABANDON,
                memo={REQUEST_HEADER: decision.request} if decision.request else None,
                static_summary=f"renew {decision.certificate}",
                static_details=kind.summary,
            )
        except WorkflowAlreadyStartedError:
            return "already_running"
        except ChildWorkflowError as failure:
            if is_cancelled_exception(failure):
                raise
            return "failed"
        return renewed.outcome

    async def _looked_at_again(self, decision: SweepDecision) -> SweepDecision | None:
        name = decision.certificate
        asked, told = LookAgain(certificate=name), f"look at {name} again, which was found due long ago"
        try:
            return await done(Sweeping.look_again, asked, told, attempt=A_LOOK_AT_ALL)
        except ActivityError as failure:
            if is_cancelled_exception(failure):
                raise
            return None

    async def _out_of_its_grace(self, decision: SweepDecision) -> bool:
        name = decision.certificate
        told = f"end the grace of {name}: {decision.why}"
        try:
            await done(Grace.end_grace, EndGrace(certificate=name), told, attempt=A_GRACE)
        except ActivityError as failure:
            if is_cancelled_exception(failure):
                raise
            return False
        return True

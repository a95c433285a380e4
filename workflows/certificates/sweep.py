"""The sweep: finds which certificates are due, and has each renewed."""

import asyncio
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
from activities.certificates.planning import PlanningActivities as Planning
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import (
    CertificateSweepInput,
    CertificateSweepResult,
    EndGrace,
    SweepDecision,
    SweepFindings,
)
from schemas.principals import REQUEST_HEADER
from workflows.certificates.renewal import CertificateRenewal
from workflows.doing import done
from workflows.steering import Steerable
from workflows.story import Story

A_GRACE = timedelta(days=1)
"""One attempt at ending a grace: until the renewal has closed."""
A_LOOK_AT_ALL = timedelta(minutes=10)
"""One attempt at looking at every target of every certificate."""


@workflow.defn
class CertificateSweep(Steerable):
    @workflow.run
    async def run(self, given: CertificateSweepInput) -> CertificateSweepResult:
        self.story = Story("certificates")
        self.ends: dict[str, str] = {}
        self.story.begin()
        self.story.enter("looking")
        found = await done(Planning.find_due, given, "look at every certificate", 300, A_LOOK_AT_ALL)
        self.story.steps = len(found.due)
        for state, decisions in (
            ("due", found.due),
            ("unreadable", found.unreadable),
            ("held off", found.held_off),
        ):
            for decision in decisions:
                self.story.row(decision.certificate, state=state, why=decision.why)
        self.story.enter("renewing", waits_for=f"{len(found.due)} renewals")
        ends = await self._renew_all(found.due, given)
        return self._swept(found, ends)

    async def _renew_all(
        self, due: tuple[SweepDecision, ...], given: CertificateSweepInput
    ) -> dict[str, str]:
        """How each ended. One that is paused, or in its grace, must not keep the next sweep from the others."""
        places = asyncio.Semaphore(given.max_concurrent)
        renewals = [asyncio.create_task(self._renew(decision, given.jitter_s, places)) for decision in due]
        if renewals:
            ended, left = await workflow.wait(renewals, timeout=given.jitter_s + given.wait_s)
            for renewal in left:
                renewal.cancel()
            for renewal in ended:
                renewal.result()
        return self.ends

    def _swept(self, found: SweepFindings, ends: dict[str, str]) -> CertificateSweepResult:
        def ended(how: str) -> tuple[str, ...]:
            return tuple(name for name, end in ends.items() if end == how)

        failed = (*ended("failed"), *(decision.certificate for decision in found.unreadable))
        if failed:
            self.story.severe("warning")
        self.story.enter("done")
        waiting = sum(decision.certificate not in ends for decision in found.due)
        return CertificateSweepResult(
            looked_at=found.looked_at,
            renewed=ended("renewed"),
            already_running=ended("already_running"),
            failed=failed,
            running=ended("running"),
            held_off=tuple(decision.certificate for decision in found.held_off),
            postponed=found.postponed + waiting,
        )

    async def _renew(self, decision: SweepDecision, jitter_s: float, places: asyncio.Semaphore) -> None:
        name = decision.certificate
        if jitter_s:
            await workflow.sleep(workflow.random().uniform(0, jitter_s), summary=f"jitter before {name}")
        async with places:
            await self.may_go_on()
            self._ended(name, "running")
            self._ended(name, await self._renewal(decision))
        self.story.step_done()

    def _ended(self, name: str, how: str) -> None:
        self.ends[name] = how
        self.story.row(name, state=how)

    async def _renewal(self, decision: SweepDecision) -> str:
        kind = WORKFLOW_TYPES["CertificateRenewal"]
        given = decision.renewal
        if decision.in_grace and not await self._out_of_its_grace(decision):
            return "failed"
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

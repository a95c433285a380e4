"""A certificate revoked, once every target serves another.

The replacement is a renewal like any other, without its grace. If it fails nothing is revoked, and the run says so:
a revoked certificate that is still served helps nobody. Whoever wants that all the same says `replace: false`.
Where the policy asks for approval, it is waited for before anything is replaced, and looked at again right before the
CA is asked: replacing may take longer than an approval is good for, and then it is asked for anew.
A run that is terminated leaves its operation open, and so does one that fails once something was replaced or a CA was
asked (`activities.certificates.giving_up`): the next run on this certificate goes on with what it was to revoke.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Literal, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from activities.certificates.grace import GraceActivities as Grace
from activities.certificates.revoking import RevokingActivities as Revoking
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import CertificateRenewalResult
from schemas.errors import RedoubtError
from schemas.principals import REQUEST_HEADER, SignedRequest
from schemas.revocations import CertificateRevocationInput, CertificateRevocationResult, RevocationPlan
from workflows.approving import Approvable
from workflows.certificates.renewal import AT_EVERY_TARGET, CertificateRenewal
from workflows.doing import QUICK, done, to_its_end
from workflows.failures import detail_of, end_with, words_of
from workflows.story import Story, plain

T = TypeVar("T")

OPERATOR = "operator: pause, abort"
PATIENCE_S = 3600.0
"""How long the CA is asked to revoke."""
UNTIL_IT_HAS_ENDED = timedelta(days=30)
"""One attempt at waiting for a renewal that runs: one activity however long that takes, so the history stays short."""
GOES_ON = "Start it again, and it goes on with what it was to revoke; an abort gives it up."
REPLACEMENTS = 3
"""How often a replacement is tried: one that goes on with what an earlier run has left may bring the doomed one."""


@workflow.defn
class CertificateRevocation(Approvable):
    stays_open: str = ""
    """That the operation does, in words, if it does."""

    @workflow.run
    async def run(self, given: CertificateRevocationInput) -> CertificateRevocationResult:
        self.story = Story(given.certificate, who_can_act=OPERATOR)
        self.story.begin("warning")
        try:
            told = f"plan the revocation of {given.certificate}"
            plan = await self._do(Revoking.plan_revocation, given, told, attempt=AT_EVERY_TARGET)
            return await self._whole(plan)
        except (FailureError, RedoubtError, asyncio.CancelledError) as failure:
            self.story.result = f"Failed: {plain(words_of(failure))} {plain(self.stays_open)}".rstrip()
            self.story.tell()
            end_with(failure, self.stays_open)

    async def _whole(self, plan: RevocationPlan) -> CertificateRevocationResult:
        self.story.steps = 3 + len(plan.certificates) + 3 * plan.replace
        for one in plan.certificates:
            self.story.row(one.fingerprint[:12], state="to be revoked", issuer=one.issuer, serial=one.serial)
        try:
            if plan.needs_approval:
                await self.approved(plan.operation)
            await self._make_way(plan)
            replaced_by = await self._replaced(plan) if plan.replace else {}
            if plan.needs_approval and plan.replace:
                await self.approved(plan.operation)
            await self._revoke(plan)
        except (FailureError, RedoubtError, asyncio.CancelledError) as failure:
            await to_its_end(self._give_up(plan, detail_of(failure)))
            raise
        await self._close(plan, "revoked", "")
        self.story.enter("revoked")
        self.story.result = f"Revoked as {plan.reason.value}."
        self.story.tell()
        return CertificateRevocationResult(
            operation=plan.operation,
            certificate=plan.certificate,
            revoked=tuple(one.fingerprint for one in plan.certificates),
            replaced_by=replaced_by,
        )

    async def _replaced(self, plan: RevocationPlan) -> dict[str, str]:
        """What every target serves instead; nothing if none holds what is to be revoked."""
        replaced: dict[str, str] = {}
        for _ in range(REPLACEMENTS):
            if plan.needs_approval:
                await self.approved(plan.operation)
            self.story.enter("looking", who_can_act=OPERATOR)
            told = "which targets hold it"
            served = await self._do(Revoking.still_served, plan.step(), told, attempt=AT_EVERY_TARGET)
            if not served.targets:
                break
            self.story.enter("replacing", waits_for="the renewal", who_can_act=OPERATOR)
            try:
                replaced = (await self._renewal(plan, served.request)).fingerprints
            except WorkflowAlreadyStartedError:
                await self._make_way(plan)
            self.story.step_done()
        return replaced

    async def _make_way(self, plan: RevocationPlan) -> None:
        """Until no renewal of it runs: a grace is ended, and anything else is waited for, for days if need be."""
        running = "the renewal of this certificate that is running already"
        self.story.enter("making way", waits_for=running, who_can_act=OPERATOR)
        waiting = self._do(Grace.end_grace, plan.way, "until no renewal runs", PATIENCE_S, UNTIL_IT_HAS_ENDED)
        await self.unless_aborted(waiting)

    async def _renewal(self, plan: RevocationPlan, request: SignedRequest | None) -> CertificateRenewalResult:
        await self.may_go_on()
        kind, given = WORKFLOW_TYPES["CertificateRenewal"], plan.renewal
        return await workflow.execute_child_workflow(
            CertificateRenewal.run,
            given,
            id=kind.workflow_id(given),
            # A renewal that is half-way goes to its end, or back, whatever becomes of this run.
            parent_close_policy=ParentClosePolicy.ABANDON,
            memo={REQUEST_HEADER: request} if request else None,
            static_summary=f"replace {plan.certificate}",
            static_details=kind.summary,
        )

    async def _revoke(self, plan: RevocationPlan) -> None:
        self.story.enter("revoking", waits_for="the evidence log, and the CA", who_can_act=OPERATOR)
        for one in plan.certificates:
            step, told = plan.step(one.fingerprint), f"revoke {one.fingerprint[:12]} at {one.issuer}"
            await self._do(Revoking.revoke, step, told, PATIENCE_S, AT_EVERY_TARGET)
            self.story.row(one.fingerprint[:12], state="revoked")

    async def _give_up(self, plan: RevocationPlan, why: str) -> None:
        """Close it as failed, unless what was begun must not be forgotten, or nothing shows that it has failed."""
        try:
            await self._close(plan, "failed", why)
        except ActivityError as left:
            self.stays_open = f"It stays open: {detail_of(left)} {GOES_ON}"

    async def _close(self, plan: RevocationPlan, outcome: Literal["revoked", "failed"], why: str) -> None:
        self.steered = False
        step = plan.step().model_copy(update={"outcome": outcome, "why": why, "word": self.word})
        await self._do(Revoking.close_revocation, step, "finish", PATIENCE_S)

    async def _do(
        self,
        activity: Callable[[Any, Any], T],
        given: Any,
        summary: str,
        patience_s: float = 300.0,
        attempt: timedelta = QUICK,
    ) -> T:
        if self.steered:
            await self.may_go_on()
        result = await done(activity, given, summary, patience_s, attempt)
        self.story.step_done()
        return result

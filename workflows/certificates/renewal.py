"""One certificate, renewed as a whole or left as it was.

A renewal goes forward (key, order, check, stage everywhere, switch in waves, verify each) until it is done or
something fails; then it goes back: every target whose switch was begun is given its previous certificate
again, and that is verified too. Nothing is switched before every target has the new version beside the old.
The decisions and the memory are elsewhere: `rules`, and the journal behind the activities. A run that is
terminated leaves its operation open, and the next run goes on with it in the same direction.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    FailureError,
    is_cancelled_exception,
)
from temporalio.workflow import HandlerUnfinishedPolicy

from activities.certificates.issuing import IssuingActivities as Issuing
from activities.certificates.planning import PlanningActivities as Planning
from activities.certificates.retiring import RetiringActivities as Retiring
from activities.certificates.switching import SwitchingActivities as Switching
from rules.failover import another_may_help
from schemas.certificates import (
    ORDERS_WITH_ONE_ISSUER,
    CertificateRenewalInput,
    CertificateRenewalResult,
    Group,
    IssuedCertificate,
    RenewalPlan,
    StepInput,
    Undo,
)
from schemas.errors import Aborted, NotAuthorized, OrderLost, RedoubtError, UndoIncomplete
from schemas.principals import Act
from schemas.runs import Steer, Steered, Word
from workflows.approving import Approvable
from workflows.doing import QUICK, all_of, done, to_its_end
from workflows.failures import code_of, detail_of, end_with, words_of
from workflows.story import Story, plain

T = TypeVar("T")

AT_A_TARGET = timedelta(minutes=30)
"""One attempt at a target: longer than the settings may let lock, check, reload and verification take together."""
AT_THE_RECORDS = timedelta(minutes=5)
"""One attempt at a step that goes on without the records: they are waited for several times before the spool serves."""
AT_EVERY_TARGET = timedelta(minutes=15)
"""One attempt at a step that visits all targets, side by side (`activities.looking` bounds it), twice at most."""
AT_THE_CA = timedelta(minutes=5)
"""One attempt at a step that talks to a CA; it beats while it polls."""
ROUNDS = 3
"""How often it goes forward when it may not go back. Then it ends, and the next run goes on with its operation."""
UNDO_PAUSE = (1, 2, 5, 10, 30, 60)
"""Seconds between attempts at putting a target back; the last one repeats."""

CAA_UNKNOWN = "CAA records were not looked up: neither the settings nor the CA say what it is called there."
OPERATOR = "operator: pause, abort"
RETIRE_PATIENCE_S = 120.0
"""How long revocation and destruction are tried; what stays is taken up by the next renewal."""
KEY_STORE_PATIENCE_S = 120.0
"""How long a key store that does not answer is tried."""


@workflow.defn
class CertificateRenewal(Approvable):
    grace_ended: str = ""
    """Why the grace is ended early, if it is."""
    grace_word: Word | None = None
    """By whom, as it was judged."""

    @workflow.update(name="end-grace", unfinished_policy=HandlerUnfinishedPolicy.ABANDON)
    async def end_grace(self, steer: Steer) -> Steered:
        word = await self._heard(Act.END_GRACE, steer)
        self._may_end_grace(steer)
        self.grace_word, self.grace_ended = word, steer.reason
        return self._now()

    @end_grace.validator
    def _may_end_grace(self, steer: Steer) -> None:  # noqa: ARG002 - Temporal's signature
        self._refuse_unless(self.steered and not self.grace_ended, "end its grace")

    @workflow.run
    async def run(self, given: CertificateRenewalInput) -> CertificateRenewalResult:
        self.story = Story(given.certificate, who_can_act=OPERATOR)
        self.story.begin()
        self.issued: dict[str, IssuedCertificate] = {}
        """By group, as they come."""
        self.grace_ends: datetime | None = None
        self.retired: tuple[str, ...] = ()
        self.passed_over: tuple[str, ...] = ()
        """Issuers that could not issue, in words."""
        try:
            told = f"plan {given.certificate}"
            plan = await self._do(Planning.plan_renewal, given, told, 300, AT_EVERY_TARGET)
            if given.skip_grace and plan.grace_s:  # what an earlier run has left had one
                self.grace_ended = given.reason or "it is to be skipped"
            if not plan.due:
                return self._not_due(plan)
            return await self._renew(plan)
        except (FailureError, RedoubtError, asyncio.CancelledError) as failure:
            self.story.result = f"Failed: {plain(words_of(failure))}"
            self.story.tell()
            end_with(failure)

    async def _renew(self, plan: RenewalPlan) -> CertificateRenewalResult:
        self.story.steps = _steps(plan)
        for name in plan.targets:
            self.story.row(name, state="waiting", had=_short(plan.previous.get(name)))
        if plan.undoing:
            await to_its_end(self._put_back(plan, "an earlier run has left it to be put back"))
            raise Aborted("What an earlier run had left was put back.")
        self.steered = not plan.settled
        await self._forward_or_back(plan)
        # Every target is verified: from here on nothing is put back any more, whatever fails.
        self.steered = False
        if self.grace_ended and not plan.settled:
            self.retired = (
                f"The grace was ended early, so what was replaced stays: {plain(self.grace_ended)}",
            )
        else:
            await self._retire(plan)
        await self._close(plan, "renewed", self.grace_ended)
        return self._renewed(plan)

    async def _forward_or_back(self, plan: RenewalPlan) -> None:
        """Return when every target is verified; raise when everything was put back, or nothing can be done here.

        What its records don't show (`rules.undoing`) is no reason to go back: who has completed one of its steps for
        it, or has cancelled it and may not, has only made it go forward once more.
        """
        for turn in range(1, ROUNDS + 1):
            try:
                return await self._forward(plan)
            except (FailureError, RedoubtError, asyncio.CancelledError) as failure:
                back = not plan.settled and await to_its_end(self._put_back(plan, detail_of(failure)))
                if plan.settled or back or turn == ROUNDS:
                    raise
        raise AssertionError("the last round returns or raises")

    def _not_due(self, plan: RenewalPlan) -> CertificateRenewalResult:
        self.story.enter("not due")
        self.story.result = f"Nothing was done: {plain(plan.why)}."
        self.story.tell()
        return CertificateRenewalResult(operation="", outcome="not_due", certificate=plan.certificate)

    # --- forward --------------------------------------------------------------------------------------

    async def _forward(self, plan: RenewalPlan) -> None:
        if plan.needs_approval and not plan.settled:
            await self.approved(plan.operation)
        self.issued = {group.name: await self._obtain(plan, group) for group in plan.groups}
        await self._stage(plan)
        for number, wave in enumerate(plan.waves, 1):
            await self._switch(plan, wave, f"switching, wave {number} of {len(plan.waves)}")
        await self._grace(plan)
        await self.may_go_on()

    async def _obtain(self, plan: RenewalPlan, group: Group) -> IssuedCertificate:
        """From the first issuer that can. An issuer that has failed is told in the story, and in the evidence."""
        self.story.enter("making the key", who_can_act=OPERATOR)
        told = f"key for {plan.certificate} in {plan.key_holder}"
        wait = plan.target_patience_s if plan.key_holder == "target" else KEY_STORE_PATIENCE_S
        await self._do(Issuing.make_key, plan.step(group), told, wait, AT_A_TARGET)
        for turn, issuer in enumerate(plan.issuers, 1):
            try:
                return await self._order_from(plan, group, issuer)
            except ActivityError as failure:
                if (
                    turn == len(plan.issuers)
                    or is_cancelled_exception(failure)
                    or not another_may_help(code_of(failure))
                ):
                    raise
                self.story.severe("warning")
                self.passed_over += (f"{issuer} could not issue it: {plain(detail_of(failure))}",)
                self.story.result = "\n\n".join(self.passed_over)
        raise AssertionError("a plan has at least one issuer")

    async def _order_from(self, plan: RenewalPlan, group: Group, issuer: str) -> IssuedCertificate:
        for attempt in range(1, ORDERS_WITH_ONE_ISSUER + 1):
            step = plan.step(group, issuer=issuer, attempt=attempt)
            try:
                return await self._order(plan, step)
            except ActivityError as failure:
                if code_of(failure) != OrderLost.code or attempt == ORDERS_WITH_ONE_ISSUER:
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _order(self, plan: RenewalPlan, step: StepInput) -> IssuedCertificate:
        self.story.enter("ordering", waits_for=f"the CA {step.issuer}", who_can_act=OPERATOR)
        told = f"order from {step.issuer}: show control of {', '.join(plan.names)}, send the request, check what comes"
        return await self._do(Issuing.obtain_certificate, step, told, plan.issuer_patience_s, AT_THE_CA)

    async def _stage(self, plan: RenewalPlan) -> None:
        self.story.enter("staging", waits_for="every target", who_can_act=OPERATOR)
        await all_of(self._target(Switching.stage, plan, name, "staged") for name in plan.targets)

    async def _switch(self, plan: RenewalPlan, wave: tuple[str, ...], phase: str) -> None:
        self.story.enter(phase, waits_for=", ".join(wave), who_can_act=OPERATOR)
        await all_of(self._target(Switching.switch, plan, name, "switched") for name in wave)
        await all_of(self._target(Switching.verify, plan, name, "verified") for name in wave)

    async def _target(self, activity: Callable[..., Any], plan: RenewalPlan, name: str, state: str) -> None:
        verb, group = activity.__name__, plan.group_of(name)
        issued = self.issued[group.name]
        step = plan.step(group, target=name, issuer=issued.issuer, attempt=issued.attempt)
        try:
            has = await self._do(activity, step, f"{verb} on {name}", plan.target_patience_s, AT_A_TARGET)
        except ActivityError as failure:
            self.story.row(name, state=f"failed: {plain(detail_of(failure))}")
            raise
        self.story.row(name, state=state, has=_short(has.words))

    async def _grace(self, plan: RenewalPlan) -> None:
        if plan.grace_s and not self.grace_ended:
            self.story.enter(
                "grace", waits_for=f"{plan.grace_s:.0f} s to pass", who_can_act="operator: abort, end-grace"
            )
            self.grace_ends = self.grace_ends or workflow.now() + timedelta(seconds=plan.grace_s)
            left = max((self.grace_ends - workflow.now()).total_seconds(), 0)
            await self.rest(left, "the previous certificate is kept", enough=lambda: bool(self.grace_ended))

    async def _retire(self, plan: RenewalPlan) -> None:
        """What was replaced goes; where it can't now, the renewal is good all the same, and says what stays."""
        steps = (
            (plan.revoke_previous, Retiring.revoke_previous, "revoke the previous certificates"),
            (plan.destroy_keys, Retiring.destroy_keys, "destroy the keys of earlier renewals"),
        )
        for wanted, activity, told in steps:
            if not wanted:
                continue
            self.story.enter("retiring the old one", waits_for="the evidence log, and what holds it")
            try:
                retired = await self._do(
                    activity, plan.closing("renewed", ""), told, RETIRE_PATIENCE_S, AT_EVERY_TARGET
                )
                self.retired += retired.words
            except ActivityError as failure:
                if is_cancelled_exception(failure):
                    raise
                self.story.severe("warning")
                self.retired += (f"Could not {told}: {plain(detail_of(failure))}",)

    def _renewed(self, plan: RenewalPlan) -> CertificateRenewalResult:
        one = next(iter(self.issued.values()))
        self.story.enter("renewed")
        valid = f"Valid until {one.facts.not_after:%Y-%m-%d %H:%M} UTC, issued by {one.issuer}."
        caa = (f"{plain(one.issuer)}: {CAA_UNKNOWN}",) if one.caa_unknown else ()
        self.story.result = "\n\n".join((valid, *caa, *self.passed_over, *self.retired))
        self.story.tell()
        by_target = {name: self.issued[plan.group_of(name).name].facts.fingerprint for name in plan.targets}
        return CertificateRenewalResult(
            operation=plan.operation,
            outcome="renewed",
            certificate=plan.certificate,
            fingerprints=by_target,
            issuer=one.issuer,
            passed_over=self.passed_over,
            retired=self.retired,
            not_after=min(each.facts.not_after for each in self.issued.values()),
        )

    # --- back -----------------------------------------------------------------------------------------

    async def _put_back(self, plan: RenewalPlan, why: str) -> bool:
        """Put back every target whose switch was begun; False if its records show no reason to, and nobody's word.

        A target that resists is tried until patience ends.
        """
        self.steered = False
        self.story.enter("putting back", waits_for="every target that was switched")
        self.story.result = f"Why: {plain(why)}"
        undo = Undo(operation=plan.operation, certificate=plan.certificate, why=why, word=self.word)
        try:
            todo = await self._do(
                Switching.begin_undo, undo, f"undo: {why}"[:200], plan.undo_patience_s, AT_THE_RECORDS
            )
        except ActivityError as refused:
            if code_of(refused) != NotAuthorized.code:
                raise
            self.steered = self.deaf = True
            self.story.result = f"Not put back: {plain(detail_of(refused))}"
            return False
        self.story.paused = False
        self.story.severe("critical")
        self.story.steps = self.story.done + 1 + len(todo.targets)
        await all_of(self._restore(plan, name) for name in todo.targets)
        await self._close(plan, "undone", why)
        self.story.enter("undone")
        return True

    async def _close(self, plan: RenewalPlan, outcome: Literal["renewed", "undone"], why: str) -> None:
        closing = plan.closing(outcome, why).model_copy(update={"word": self.grace_word})
        await self._do(Switching.close_renewal, closing, "finish", plan.undo_patience_s, AT_EVERY_TARGET)

    async def _restore(self, plan: RenewalPlan, name: str) -> None:
        step = plan.step(plan.group_of(name), target=name)
        until = workflow.now() + timedelta(seconds=plan.undo_patience_s)
        for turn in range(1_000_000):
            try:
                await self._do(
                    Switching.restore, step, f"put {name} back", plan.target_patience_s, AT_A_TARGET
                )
            except ActivityError as failure:
                self.story.row(name, state=f"not yet put back: {plain(detail_of(failure))}")
                if workflow.now() >= until:
                    raise UndoIncomplete(
                        f"{name} still has to be put back: {detail_of(failure)}"
                    ) from failure
                await workflow.sleep(
                    UNDO_PAUSE[min(turn, len(UNDO_PAUSE) - 1)], summary=f"until {name} is tried again"
                )
            else:
                self.story.row(name, state="put back", has=_short(plan.previous.get(name)))
                return

    async def _do(
        self,
        activity: Callable[[Any, Any], T],
        given: Any,
        summary: str,
        patience_s: float = 120.0,
        attempt: timedelta = QUICK,
    ) -> T:
        if self.steered:
            await self.may_go_on()
        result = await done(activity, given, summary, patience_s, attempt)
        self.story.step_done()
        return result


def _steps(plan: RenewalPlan) -> int:
    return 2 + 2 * len(plan.groups) + 3 * len(plan.targets)


def _short(fingerprint: str | None) -> str:
    return f"`{fingerprint[:12]}`" if fingerprint else "–"

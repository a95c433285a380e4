"""Waiting for people's approval, for every workflow whose plan may need one.

After planning and before the first effect a run calls `approved`. It waits for days if it must: votes come as the
updates `approve` and `reject`, an activity verifies and keeps each, and timers ask the next group and end what has
expired. The story says who has approved, how many are missing and who can act. None of this authorises anything: the
effect's own activity counts again (`activities.approving`).
"""

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from activities.approving import ApprovingActivities as Activities
from rules.approvals import refusal
from schemas.approvals import Approval, ApprovalAsk, Ballot, State, Tally, Verdict, Vote
from schemas.errors import ApprovalExpired, ApprovalRefused, VoteRefused
from workflows.doing import done
from workflows.steering import PATIENCE_S, Steerable

_SHORTEST = timedelta(seconds=1)
"""Between two looks: the clock of the records may be a moment behind the run's."""


class Approvable(Steerable):
    """Base of the workflows that may need approval."""

    asked: Approval | None = None

    @workflow.query
    def approval(self) -> Approval | None:
        """What waits for approval here, or has waited; None if nothing has."""
        return self.asked

    @workflow.update
    async def approve(self, vote: Vote) -> Tally:
        return await self._cast(vote)

    @approve.validator
    def _may_approve(self, vote: Vote) -> None:
        self._refuse_vote_unless(Verdict.APPROVE, vote)

    @workflow.update
    async def reject(self, vote: Vote) -> Tally:
        return await self._cast(vote)

    @reject.validator
    def _may_reject(self, vote: Vote) -> None:
        self._refuse_vote_unless(Verdict.REJECT, vote)

    def _refuse_vote_unless(self, verdict: Verdict, vote: Vote) -> None:
        if self.asked is None:
            self._refuse_unless(allowed=False, verb=verdict)
            return
        why = refusal(self.asked.request, self.asked.tally, vote, workflow.now())
        if vote.verdict is not verdict:
            why = f"its verdict is {vote.verdict}, and it was sent to {verdict}"
        if why:
            told = VoteRefused(f"The vote of {vote.approver} was not taken: {why}.")
            raise ApplicationError(str(told), type=VoteRefused.code, non_retryable=True)

    async def _cast(self, vote: Vote) -> Tally:
        if self.asked is None:
            raise VoteRefused("Nothing waits for approval here.")
        ballot = Ballot(operation=self.asked.request.operation, vote=vote)
        tally = await done(Activities.cast_vote, ballot, f"{vote.verdict} by {vote.approver}", PATIENCE_S)
        self._counted(tally)
        return tally

    def _counted(self, tally: Tally) -> None:
        """Votes may come side by side: an older count never replaces a decision."""
        if self.asked is not None and self.asked.tally.state is State.WAITING:
            self.asked = self.asked.model_copy(update={"tally": tally})
            self._tell(tally)

    def _tell(self, tally: Tally) -> None:
        if self.asked is None or tally.state is not State.WAITING:
            return
        missing = tally.needed - len(tally.approved_by)
        so_far = f", after {', '.join(tally.approved_by)}" if tally.approved_by else ""
        until = f"{self.asked.request.expires:%Y-%m-%d %H:%M} UTC"
        self.story.enter(
            "approval",
            waits_for=f"{missing} of {tally.needed} approvals until {until}{so_far}",
            who_can_act=f"approve, reject: {', '.join(tally.may_act) or 'nobody'}; operator: pause, abort",
        )

    async def approved(self, operation: str) -> None:
        """Return when enough have approved. Raises `ApprovalRefused`, `ApprovalExpired`, `Aborted`."""
        ask = ApprovalAsk(operation=operation)
        self.asked = await done(Activities.request_approval, ask, "ask for approval", PATIENCE_S)
        if self.asked is None:
            return
        self._tell(self.asked.tally)
        try:
            tally = await self._decided(self.asked, ask)
        finally:
            # A vote that is being taken is taken to its end, also when the run ends.
            await workflow.wait_condition(workflow.all_handlers_finished)
        if tally.state is State.REFUSED:
            raise ApprovalRefused(f"{tally.rejected_by} has rejected it.")
        if tally.state is State.EXPIRED:
            raise ApprovalExpired(f"{len(tally.approved_by)} of {tally.needed} had approved when it expired.")
        self.story.result = f"Approved by {', '.join(tally.approved_by)}."
        self.story.tell()

    async def _decided(self, first: Approval, ask: ApprovalAsk) -> Tally:
        tally = first.tally
        while tally.state is State.WAITING:
            wake = min(tally.escalates or first.request.expires, first.request.expires)
            try:
                await workflow.wait_condition(
                    lambda: self._state is not State.WAITING or bool(self.abort_reason),
                    timeout=max(wake - workflow.now(), _SHORTEST),
                    timeout_summary="until the next group is asked, or it expires",
                )
            except asyncio.TimeoutError:  # noqa: UP041 - the SDK raises this one on every Python
                counted = await done(
                    Activities.count_approval, ask, "look how the approval stands", PATIENCE_S
                )
                self._counted(counted.tally)
            await self.may_go_on()
            tally = first.tally if self.asked is None else self.asked.tally
        return tally

    @property
    def _state(self) -> State:
        return State.WAITING if self.asked is None else self.asked.tally.state

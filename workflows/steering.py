"""What people may tell every run: pause, resume, abort; and what they may ask it: status.

A run acts on them between two steps, never in the middle of one: a step that has begun is finished first.
Abort wins over pause. Who tells it is judged by an activity (`activities.steering`), and again where it has an effect.
Once a run undoes itself, it is no longer steered: undoing is never stopped half-way.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError
from temporalio.workflow import HandlerUnfinishedPolicy

from activities.steering import SteeringActivities
from schemas.errors import Aborted
from schemas.principals import Act
from schemas.runs import RunStatus, Steer, Steered, Steering, Told, Word
from workflows.doing import done
from workflows.story import Story

T = TypeVar("T")
PATIENCE_S: Final = 300.0
"""How long the records are asked who has said something, or has voted."""


class Steerable:
    """Base of the workflows; a subclass has `story` before its first await."""

    story: Story
    abort_reason: str = ""
    word: Word | None = None
    """The abort as it was judged."""
    deaf: bool = False
    """True once a cancel was not followed, because nobody who may has signed it."""
    steered: bool = True
    """False once it is too late to steer."""

    @workflow.query
    def status(self) -> RunStatus:
        return self.story.status()

    @workflow.update(unfinished_policy=HandlerUnfinishedPolicy.ABANDON)
    async def pause(self, steer: Steer) -> Steered:
        await self._heard(Act.PAUSE, steer)
        self._may_pause(steer)
        self.story.paused = True
        self.story.tell()
        return self._now()

    @pause.validator
    def _may_pause(self, steer: Steer) -> None:  # noqa: ARG002 - Temporal's signature
        self._refuse_unless(self.steered and not self.story.paused, "pause")

    @workflow.update(unfinished_policy=HandlerUnfinishedPolicy.ABANDON)
    async def resume(self, steer: Steer) -> Steered:
        await self._heard(Act.RESUME, steer)
        self.story.paused = False
        self.story.tell()
        return self._now()

    @resume.validator
    def _may_resume(self, steer: Steer) -> None:  # noqa: ARG002 - Temporal's signature
        self._refuse_unless(self.story.paused, "resume")

    @workflow.update(unfinished_policy=HandlerUnfinishedPolicy.ABANDON)
    async def abort(self, steer: Steer) -> Steered:
        word = await self._heard(Act.ABORT, steer)
        self._may_abort(steer)
        self.word, self.abort_reason = word, steer.reason
        return self._now()

    @abort.validator
    def _may_abort(self, steer: Steer) -> None:  # noqa: ARG002 - Temporal's signature
        self._refuse_unless(self.steered and not self.abort_reason, "abort")

    async def _heard(self, act: Steering, steer: Steer) -> Word:
        """Whose word it is, once an activity has judged it. Nothing is followed that it refuses."""
        told = Told(act=act, steer=steer)
        return await done(SteeringActivities.hear, told, f"{act}: {steer.reason}", PATIENCE_S)

    def _now(self) -> Steered:
        return Steered(phase=self.story.phase, paused=self.story.paused)

    def _refuse_unless(self, allowed: bool, verb: str) -> None:
        if not allowed:
            phase = f"{self.story.phase}, paused" if self.story.paused else self.story.phase
            raise ApplicationError(f"This run can't {verb} now: {phase}.", type="NotNow", non_retryable=True)

    async def may_go_on(self) -> None:
        """Between two steps: wait while paused; raise `Aborted` if someone said so, or that the run was cancelled.

        The SDK tells a run of its cancellation once, at the step that it waits for. Where that step succeeds all the
        same, its result is all that the run hears: so it is asked for here.
        """
        if self.story.paused and not self.abort_reason:
            before = self.story.waits_for
            self.story.waits_for = "someone to resume or abort it"
            self.story.tell()
            await workflow.wait_condition(lambda: not self.story.paused or bool(self.abort_reason))
            self.story.waits_for = before
        if self.abort_reason:
            raise Aborted(f"Aborted: {self.abort_reason}.")
        if workflow.cancellation_reason() is not None and not self.deaf:
            raise asyncio.CancelledError

    async def rest(self, seconds: float, why: str, enough: Callable[[], bool] = lambda: False) -> None:
        """Sleep durably, unless someone aborts or it is `enough`."""
        try:
            await workflow.wait_condition(
                lambda: bool(self.abort_reason) or enough(), timeout=seconds, timeout_summary=why
            )
        except asyncio.TimeoutError:  # noqa: UP041 - the SDK raises this one on every Python
            return
        await self.may_go_on()

    async def unless_aborted(self, step: Coroutine[Any, Any, T]) -> T:
        """Do what only waits: given up at once when someone aborts, or when the run is cancelled."""
        doing = asyncio.create_task(step)
        try:
            await workflow.wait_condition(lambda: doing.done() or bool(self.abort_reason))
            if not doing.done():
                await self.may_go_on()
            return await doing
        finally:
            doing.cancel()

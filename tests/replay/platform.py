"""Small workflows that use every part of the platform once: what the plugin's tests run and the corpus records."""

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import ClassVar, Literal

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

from clients.temporal import correlation
from schemas import errors
from schemas.contract import Contract, WorkflowInput

SQL = "INSERT INTO journal VALUES ('canary') -- /srv/redoubt/store/journal.py"

_log = logging.getLogger(__name__)


class Errand(WorkflowInput):
    name: str
    note: str = ""
    count: int = 1
    fails: Literal["", "unknown", "catalogue", "cancel", "in the workflow", "bug"] = ""

    example: ClassVar[dict[str, object]] = {"name": "a"}

    @property
    def subject(self) -> str:
        return self.name


class Leg(Contract):
    note: str
    fails: str = ""


class Seen(Contract):
    """What a step of the errand knew of its correlation."""

    correlation_id: str
    trace_id: str
    span_id: str
    parent_span_id: str


class ErrandResult(Contract):
    note: str
    own: Seen
    activity: Seen
    child: Seen | None = None


def seen() -> Seen:
    carried = correlation.current()
    if carried is None:
        raise LookupError("there is no correlation here")
    return Seen(
        correlation_id=carried.id,
        trace_id=carried.trace_id,
        span_id=carried.span_id,
        parent_span_id=carried.parent_span_id,
    )


@activity.defn
def observe(leg: Leg) -> Seen:
    _log.warning("observing")
    if leg.fails == "unknown":
        raise OSError(SQL)
    if leg.fails == "catalogue":
        raise errors.TargetUnreachable("web-1 is away.") from OSError(SQL)
    return seen()


WAITING = threading.Event()
"""Set while `wait_for_cancel` runs."""


@activity.defn
async def wait_for_cancel(leg: Leg) -> Seen:
    WAITING.set()
    while True:
        activity.heartbeat(leg.note)
        await asyncio.sleep(0.05)


_ONCE = RetryPolicy(maximum_attempts=1)


async def _observe(leg: Leg) -> Seen:
    return await workflow.execute_activity(
        observe, leg, start_to_close_timeout=timedelta(seconds=20), retry_policy=_ONCE, summary="look around"
    )


@workflow.defn
class RunErrand:
    """Activity, timer, child: in this order, which the mutation test changes."""

    @workflow.run
    async def run(self, given: Errand) -> ErrandResult:
        if given.fails == "in the workflow":
            raise errors.VerificationFailed("web-1 shows another certificate.")
        if given.fails == "bug":
            raise KeyError(given.note)
        if given.fails == "cancel":
            return await self._until_cancelled(given)
        observed = await _observe(Leg(note=given.note, fails=given.fails))
        await workflow.sleep(timedelta(milliseconds=10))
        result = await workflow.execute_child_workflow(
            RunLeg.run, given, id=f"{workflow.info().workflow_id}/leg"
        )
        return ErrandResult(note=given.note, own=seen(), activity=observed, child=result.own)

    async def _until_cancelled(self, given: Errand) -> ErrandResult:
        observed = await workflow.execute_activity(
            wait_for_cancel,
            Leg(note=given.note),
            start_to_close_timeout=timedelta(seconds=60),
            heartbeat_timeout=timedelta(seconds=5),
            retry_policy=_ONCE,
        )
        return ErrandResult(note=given.note, own=seen(), activity=observed)


@workflow.defn
class RunLeg:
    @workflow.run
    async def run(self, given: Errand) -> ErrandResult:
        observed = await _observe(Leg(note=given.note))
        return ErrandResult(note=given.note, own=seen(), activity=observed)


class Word(Contract):
    text: str
    fails: bool = False


@workflow.defn
class Listen:
    """Waits until it is told to end; collects what it hears on the way."""

    def __init__(self) -> None:
        self._heard: list[str] = []
        self._over = False

    @workflow.run
    async def run(self, given: Errand) -> tuple[str, ...]:
        self._heard.append(given.note)
        await workflow.wait_condition(lambda: self._over)
        return tuple(self._heard)

    @workflow.signal
    def hear(self, word: Word) -> None:
        self._heard.append(word.text)

    @workflow.signal
    def end(self) -> None:
        self._over = True

    @workflow.query
    def heard(self) -> tuple[str, ...]:
        return tuple(self._heard)

    @workflow.update
    async def tell(self, word: Word) -> str:
        if word.fails:
            raise errors.NotAllowed("You may not tell this.") from OSError(SQL)
        seen_in_it = await _observe(Leg(note=word.text))
        self._heard.append(word.text)
        return seen_in_it.correlation_id

    @workflow.update
    def agree(self, word: Word) -> str:
        self._heard.append(word.text)
        return word.text

    @agree.validator
    def _agree(self, word: Word) -> None:
        if word.fails:
            raise errors.NotAllowed("You may not agree to this.")


@workflow.defn
class Relay:
    """Counts down by continue-as-new, each run the child of the one before."""

    @workflow.run
    async def run(self, given: Errand) -> Seen:
        if given.count > 1:
            workflow.continue_as_new(given.model_copy(update={"count": given.count - 1}))
        return seen()


@workflow.defn
class CarryWord:
    """Speaks to a child of its own, and to it again as to a stranger; looks around locally."""

    @workflow.run
    async def run(self, given: Errand) -> Seen:
        listener = await workflow.start_child_workflow(
            Listen.run, given, id=f"{workflow.info().workflow_id}/listener"
        )
        await listener.signal(Listen.hear, Word(text="to a child"))
        stranger = workflow.get_external_workflow_handle(listener.id)
        await stranger.signal("end")
        await listener
        return await workflow.execute_local_activity(
            observe, Leg(note=given.note), start_to_close_timeout=timedelta(seconds=20)
        )


WORKFLOWS: tuple[type, ...] = (RunErrand, RunLeg, Listen, Relay, CarryWord)
ACTIVITIES: tuple[Callable[..., object], ...] = (observe, wait_for_cancel)

"""How a workflow has its activities done: patient, beating, and never left in the middle."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ActivityCancellationType

from rules import patience
from schemas.errors import DependencyOpen

T = TypeVar("T")

QUICK = timedelta(seconds=30)
"""One attempt at a step that talks to our own store or a token."""
HEARTBEAT = timedelta(seconds=10)
"""Activities beat by themselves (`activities.beating`): a dead worker is noticed within this time."""


async def done(
    activity: Callable[[Any, Any], T],
    given: Any,
    summary: str,
    patience_s: float = 120.0,
    attempt: timedelta = QUICK,
) -> T:
    """The activity's result, tried again with growing pauses until patience ends (`rules.patience`).

    An attempt that was refused because a dependency is left alone was none: if the last one was, it goes on.
    """
    began = workflow.time()
    while True:
        try:
            return await _attempts(activity, given, summary, patience_s, attempt)
        except ActivityError as failure:
            wait = _refused_for(failure)
            if wait is None or not patience.still_patient(workflow.time() - began, patience_s):
                raise
        await workflow.sleep(wait, summary=f"left alone for a while: {summary}"[:200])


def _refused_for(failure: ActivityError) -> timedelta | None:
    """How long the dependency is left alone, if that is why the last attempt failed."""
    cause = failure.cause
    if not isinstance(cause, ApplicationError) or cause.type != DependencyOpen.code:
        return None
    return cause.next_retry_delay or timedelta(seconds=patience.LONGEST_PAUSE_S)


async def _attempts(
    activity: Callable[[Any, Any], T], given: Any, summary: str, patience_s: float, attempt: timedelta
) -> T:
    result: T = await workflow.execute_activity_method(
        activity,
        given,
        start_to_close_timeout=attempt,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=RetryPolicy(
            initial_interval=timedelta(seconds=patience.FIRST_PAUSE_S),
            backoff_coefficient=patience.GROWTH,
            maximum_interval=timedelta(seconds=patience.LONGEST_PAUSE_S),
            maximum_attempts=patience.attempts_within(patience_s),
        ),
        summary=summary[:200],
        # Wait for the worker to say how it ended: what was begun and cut short is found in the journal.
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    )
    return result


async def all_of(steps: Iterable[Awaitable[T]]) -> list[T]:
    """Run side by side; wait for every one, and only then raise the first failure: none is left half-known."""
    ends = await asyncio.gather(*steps, return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            raise end
    return [end for end in ends if not isinstance(end, BaseException)]


async def to_its_end(step: Coroutine[Any, Any, T]) -> T:
    """Do it whatever comes: a cancellation that arrives meanwhile has no effect on it."""
    doing = asyncio.create_task(step)
    while True:
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            if doing.cancelled():
                raise

"""Requests a second that keep their correlation, in process: what our interceptors do with a call, without a server.

One request: a caller's own ID and trace enter; a workflow's start leaves with two headers and a search attribute;
the run takes them up and hands them on; its activity works under them. A request whose ID or trace was lost on the
way is an error.
"""

import asyncio
import copy
import os
import statistics
import time
from collections.abc import Mapping
from typing import Any, Final, cast

from temporalio import client, worker
from temporalio.api.common.v1 import Payload
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.testing import ActivityEnvironment

from benchmarks import processes
from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.samples import Samples
from clients.temporal import correlation
from clients.temporal.headers import headers_of, received
from clients.temporal.interceptors import CorrelationInterceptor
from rules.correlation import RANDOM_BYTES

ROUNDS: Final = 25
REQUESTS: Final = 1_000
"""In each round; the median of the rounds counts, so that what else the machine does for a moment does not."""

_START: Final = client.StartWorkflowInput(
    workflow="CertificateRenewal",
    args=[],
    id="certificate-renewal/www",
    task_queue="certificates",
    execution_timeout=None,
    run_timeout=None,
    task_timeout=None,
    id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    retry_policy=None,
    cron_schedule="",
    memo=None,
    search_attributes=None,
    start_delay=None,
    headers={},
    start_signal=None,
    start_signal_args=[],
    static_summary=None,
    static_details=None,
    ret_type=None,
    rpc_metadata={},
    rpc_timeout=None,
    request_eager_start=False,
    priority=Priority.default,
)


class _Sent(client.OutboundInterceptor):
    """The end of the client's chain: keeps what would go to the server."""

    def __init__(self) -> None:
        self.headers: Mapping[str, Payload] = {}

    async def start_workflow(self, input: client.StartWorkflowInput) -> client.WorkflowHandle[Any, Any]:  # noqa: A002 - the SDK's name
        self.headers = input.headers
        return cast("client.WorkflowHandle[Any, Any]", None)


class _Worked(worker.ActivityInboundInterceptor):
    """The end of the activity's chain: answers what it works under."""

    def __init__(self) -> None:
        """Nothing comes after it."""

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:  # noqa: A002, ARG002 - the SDK's
        return correlation.current()


class _Chain:
    """One caller, one run and one activity, each behind our interceptors."""

    def __init__(self) -> None:
        interceptor = CorrelationInterceptor()
        self._sent = _Sent()
        self._client = interceptor.intercept_client(self._sent)
        self._activity = interceptor.intercept_activity(_Worked())

    async def request(self, correlation_id: str, trace_id: str) -> bool:
        """Whether both arrived."""
        with correlation.correlated(correlation_id, f"00-{trace_id}-00f067aa0ba902b7-01"):
            await self._client.start_workflow(copy.copy(_START))
        run = received(self._sent.headers, os.urandom(RANDOM_BYTES))
        given = worker.ExecuteActivityInput(fn=print, args=(), executor=None, headers=headers_of(run))
        under = await self._activity.execute_activity(given)
        return (under.id, under.trace_id, under.parent_span_id) == (correlation_id, trace_id, run.span_id)


async def _requests(number: int) -> Samples:
    chain, done = _Chain(), Samples()
    traces = [os.urandom(16).hex() for _ in range(number)]
    began = time.perf_counter()
    for turn, trace_id in enumerate(traces):
        at = time.perf_counter()
        if await chain.request(f"order-{turn:08d}", trace_id):
            done.seconds.append(time.perf_counter() - at)
        else:
            done.errors += 1
    done.elapsed = time.perf_counter() - began
    return done


def measure(say: Say) -> Measured:
    # The interceptor asks which activity it works for.
    rounds = asyncio.run(ActivityEnvironment().run(_rounds))
    every = Samples()
    for one in rounds:
        every.add(one)
    rates = [one.per_second for one in rounds]
    say(f"  {ROUNDS} rounds of {REQUESTS} requests in {every.elapsed:.1f} s")
    return Measured(
        values={"correlated_requests_per_s": round(statistics.median(rates))},
        samples=every,
        peak_rss_mib=processes.peak_mib(),
        aside={"slowest_round_per_s": round(min(rates)), "quickest_round_per_s": round(max(rates))},
    )


async def _rounds() -> list[Samples]:
    await _requests(REQUESTS)
    return [await _requests(REQUESTS) for _ in range(ROUNDS)]


PART = Part(
    name="correlation",
    operation="a request from its caller through a start and a run to its activity, in process",
    figures=(
        Figure(
            "correlated_requests_per_s",
            "requests a second that keep their caller's correlation ID and trace, in process",
            unit="/s",
            bar=Bar("at least", 5000),
        ),
    ),
    measure=measure,
)

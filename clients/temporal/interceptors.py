"""Carries the correlation across every call.

What a run does with it is in `clients.temporal.runs`.

By W3C's `traceparent`, and `redoubt-correlation-id` where the caller has an ID of its own. One trace context, made
here and nowhere else; spans are exported (`clients.temporal.spans`) with the IDs that these headers carry. The SDK's
`TracingInterceptor` is not used: it has a header and IDs of its own, so logs and spans would name two traces, and it
makes no IDs without OTLP.

- A client's call is a child of the current correlation, or the first span of a new trace.
- A run is one span: a child of what started it; its activities and child workflows are children of that span.
- A start and an update carry the signed request that `clients.temporal.requests` is presenting.
- Each attempt of an activity is a span of its own; what it calls and logs stands under it.
"""
# ruff: noqa: A002 - `next` and `input` are the SDK's names

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from temporalio import activity, client, worker

from clients.temporal import correlation, requests
from clients.temporal.headers import headers_of, received, with_search_attribute
from clients.temporal.runs import RECORD_SPAN, RunInbound
from clients.temporal.spans import Ended, Kind, Spans, error_name
from rules.correlation import RANDOM_BYTES, Correlation


class CorrelationInterceptor(client.Interceptor, worker.Interceptor):
    def __init__(self, spans: Spans | None = None) -> None:
        super().__init__()
        self._spans = spans

    def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
        return _ClientOutbound(next, self._spans)

    def intercept_activity(
        self, next: worker.ActivityInboundInterceptor
    ) -> worker.ActivityInboundInterceptor:
        return _ActivityInbound(next, self._spans)

    def workflow_interceptor_class(self, input: worker.WorkflowInterceptorClassInput) -> type[RunInbound]:
        if self._spans is not None:
            input.unsafe_extern_functions[RECORD_SPAN] = self._spans.record
        return RunInbound


class _ClientOutbound(client.OutboundInterceptor):
    def __init__(self, next: client.OutboundInterceptor, spans: Spans | None) -> None:
        super().__init__(next)
        self._spans = spans

    async def start_workflow(self, input: client.StartWorkflowInput) -> client.WorkflowHandle[Any, Any]:
        carried = correlation.onward()
        input.headers = {**input.headers, **headers_of(carried), **requests.sent()}
        input.search_attributes = with_search_attribute(input.search_attributes, carried)
        async with _recorded(
            self._spans, f"StartWorkflow:{input.workflow}", "CLIENT", carried, workflow_id=input.id
        ):
            return await self.next.start_workflow(input)

    async def signal_workflow(self, input: client.SignalWorkflowInput) -> None:
        carried = correlation.onward()
        input.headers = {**input.headers, **headers_of(carried)}
        async with _recorded(
            self._spans, f"SignalWorkflow:{input.signal}", "CLIENT", carried, workflow_id=input.id
        ):
            await self.next.signal_workflow(input)

    async def query_workflow(self, input: client.QueryWorkflowInput) -> Any:
        carried = correlation.onward()
        input.headers = {**input.headers, **headers_of(carried)}
        async with _recorded(
            self._spans, f"QueryWorkflow:{input.query}", "CLIENT", carried, workflow_id=input.id
        ):
            return await self.next.query_workflow(input)

    async def start_workflow_update(
        self, input: client.StartWorkflowUpdateInput
    ) -> client.WorkflowUpdateHandle[Any]:
        carried = correlation.onward()
        input.headers = {**input.headers, **headers_of(carried), **requests.sent()}
        async with _recorded(
            self._spans, f"UpdateWorkflow:{input.update}", "CLIENT", carried, workflow_id=input.id
        ):
            return await self.next.start_workflow_update(input)

    async def start_update_with_start_workflow(
        self, input: client.StartWorkflowUpdateWithStartInput
    ) -> client.WorkflowUpdateHandle[Any]:
        carried = correlation.onward()
        start, update = input.start_workflow_input, input.update_workflow_input
        start.headers = {**start.headers, **headers_of(carried)}
        update.headers = {**update.headers, **headers_of(carried)}
        start.search_attributes = with_search_attribute(start.search_attributes, carried)
        name = f"UpdateWithStart:{start.workflow}"
        async with _recorded(self._spans, name, "CLIENT", carried, workflow_id=start.id):
            return await self.next.start_update_with_start_workflow(input)


class _ActivityInbound(worker.ActivityInboundInterceptor):
    def __init__(self, next: worker.ActivityInboundInterceptor, spans: Spans | None) -> None:
        super().__init__(next)
        self._spans = spans

    async def execute_activity(self, input: worker.ExecuteActivityInput) -> Any:
        carried = received(input.headers, os.urandom(RANDOM_BYTES))
        # Not left again: the task ends with the attempt, and its failure is converted after this returns.
        correlation.enter(carried)
        requests.receive(input.headers)
        info = activity.info()
        name = f"RunActivity:{info.activity_type}"
        async with _recorded(
            self._spans, name, "SERVER", carried, workflow_id=info.workflow_id or info.activity_id
        ):
            return await self.next.execute_activity(input)


@asynccontextmanager
async def _recorded(
    spans: Spans | None, name: str, kind: Kind, carried: Correlation, *, workflow_id: str
) -> AsyncIterator[None]:
    if spans is None:
        yield
        return
    started, error = time.time_ns(), None
    try:
        yield
    except BaseException as raised:
        error = error_name(raised)
        raise
    finally:
        attributes = {"temporalWorkflowID": workflow_id}
        spans.record(Ended(name, kind, carried, started, time.time_ns(), attributes, error))

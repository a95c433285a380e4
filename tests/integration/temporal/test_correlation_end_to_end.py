"""One request's ID and trace, from the caller through runs, children and activities to logs, spans and search."""

import logging
from typing import Any

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy

from clients.temporal.correlation import correlated
from clients.temporal.headers import ID_HEADER, SEARCH_ATTRIBUTE, TRACE_HEADER
from clients.temporal.spans import Spans
from rules.correlation import well_formed
from tests.integration.temporal.house import House, errand, events_of, eventually, failure_of, typed
from tests.replay.platform import ErrandResult, Listen, Seen, Word

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def search_attribute(client: Client, workflow_id: str) -> str | None:
    return (await client.get_workflow_handle(workflow_id).describe()).typed_search_attributes.get(
        SEARCH_ATTRIBUTE
    )


class Fields(logging.Handler):
    """What structlog would write beside each record."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == "observing":
            self.seen.append(dict(structlog.contextvars.merge_contextvars(None, "", {})))


async def test_a_callers_id_and_trace_reach_every_step(house: House) -> None:
    client, fields = await house.client(), Fields()
    logger = logging.getLogger("tests.replay.platform")
    logger.addHandler(fields)
    try:
        async with house.worker(client):
            with correlated("callers-own-id", TRACEPARENT):
                started = await house.start(client, "RunErrand", errand())
            result = ErrandResult.model_validate(await started.result())
    finally:
        logger.removeHandler(fields)
    own, activity, child = result.own, result.activity, result.child
    assert child is not None
    assert {one.correlation_id for one in (own, activity, child)} == {"callers-own-id"}
    assert {one.trace_id for one in (own, activity, child)} == {TRACEPARENT[3:35]}
    assert activity.parent_span_id == own.span_id
    assert child.parent_span_id == own.span_id
    assert len({own.span_id, activity.span_id, child.span_id, TRACEPARENT[36:52]}) == 4
    assert fields.seen[0] == {
        "correlation_id": "callers-own-id",
        "trace_id": TRACEPARENT[3:35],
        "span_id": activity.span_id,
    }
    assert len(fields.seen) == 2
    for workflow_id in (started.id, f"{started.id}/leg"):
        assert await search_attribute(client, workflow_id) == "callers-own-id"


async def test_people_find_all_runs_of_one_request(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        with correlated("find-me-by-this"):
            started = await house.start(client, "RunErrand", errand())
        await started.result()

        async def both() -> set[str] | None:
            query = 'RedoubtCorrelationId = "find-me-by-this"'
            found = {run.id async for run in client.list_workflows(query)}
            return found if len(found) == 2 else None

        assert await eventually(both, "the run and its child") == {started.id, f"{started.id}/leg"}


async def test_a_run_from_the_web_ui_begins_a_trace_of_its_own(house: House) -> None:
    client, plain = await house.client(), await house.plain()
    async with house.worker(client):
        started = await house.start(plain, "RunErrand", typed('{"name": "a"}'))
        result = ErrandResult.model_validate(await client.get_workflow_handle(started.id).result())
    own = result.own
    assert own.correlation_id == own.trace_id
    assert own.parent_span_id == ""
    assert result.activity.correlation_id == own.correlation_id
    assert await search_attribute(client, started.id) == own.correlation_id
    again = ErrandResult.model_validate(await client.get_workflow_handle(started.id).result())
    assert again.own == own


async def test_a_callers_malformed_id_is_replaced(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        with correlated('no"good\n', "00-not-a-trace-01"):
            started = await house.start(client, "RunLeg", errand())
        own = ErrandResult.model_validate(await started.result()).own
    assert well_formed(own.correlation_id)
    assert own.correlation_id == own.trace_id


async def test_the_next_run_of_a_continue_as_new_is_a_child_of_the_last(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        with correlated("three-runs-one-id", TRACEPARENT):
            started = await house.start(client, "Relay", errand(count=3))
        last = Seen.model_validate(await started.result())
    assert (last.correlation_id, last.trace_id) == ("three-runs-one-id", TRACEPARENT[3:35])
    assert await search_attribute(client, started.id) == "three-runs-one-id"


async def test_a_refused_run_can_be_found_too(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        with correlated("refused-but-found"):
            started = await house.start(client, "RunErrand")
        error = await failure_of(started)
    assert error.details[0]["correlation_id"] == "refused-but-found"
    assert await search_attribute(client, started.id) == "refused-but-found"


@pytest.mark.parametrize("fails", ["", "catalogue"])
async def test_spans_form_one_tree_with_our_ids(house: House, fails: str) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    client = await house.client(spans=Spans(provider))
    async with house.worker(client):
        with correlated("request-with-spans", TRACEPARENT) as request:
            started = await house.start(client, "RunErrand", errand(fails=fails))
        if fails:
            with pytest.raises(Exception, match="Workflow execution failed"):
                await started.result()
        else:
            await started.result()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    start, run = spans["StartWorkflow:RunErrand"], spans["RunWorkflow:RunErrand"]
    assert start.parent is not None
    assert f"{start.parent.span_id:016x}" == request.span_id
    assert run.parent is not None
    assert start.context is not None
    assert run.parent.span_id == start.context.span_id
    assert run.status.description == ("ActivityError" if fails else None)
    assert {f"{span.context.trace_id:032x}" for span in spans.values() if span.context} == {request.trace_id}
    assert ("RunWorkflow:RunLeg" in spans) is not bool(fails)


async def test_headers_are_encrypted(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        with correlated("hidden-in-headers"):
            started = await house.start(client, "RunLeg", errand())
        await started.result()
    first = (await events_of(started))[0].workflow_execution_started_event_attributes
    assert set(first.header.fields) == {"redoubt-correlation-id", "traceparent"}
    assert all(
        b"hidden-in-headers" not in value.SerializeToString() for value in first.header.fields.values()
    )


async def test_every_kind_of_call_of_a_run_carries_its_correlation(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        with correlated("carried-by-each", TRACEPARENT):
            started = await house.start(client, "CarryWord", errand())
        local = Seen.model_validate(await started.result())
    assert (local.correlation_id, local.trace_id) == ("carried-by-each", TRACEPARENT[3:35])
    heard = await events_of(client.get_workflow_handle(f"{started.id}/listener"))
    signals = [
        event.workflow_execution_signaled_event_attributes
        for event in heard
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    assert [signal.signal_name for signal in signals] == ["hear", "end"]
    assert all(set(signal.header.fields) == {ID_HEADER, TRACE_HEADER} for signal in signals)


async def test_a_start_with_an_update_is_one_request(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        start: WithStartWorkflowOperation[Listen, tuple[str, ...]] = WithStartWorkflowOperation(
            "Listen",
            errand(),
            id="update-with-start",
            task_queue=house.queue,
            id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        )
        with correlated("started-by-update"):
            told = await client.execute_update_with_start_workflow(
                "tell", Word(text="b"), start_workflow_operation=start
            )
        assert told == "started-by-update"
        handle = await start.workflow_handle()
        assert await search_attribute(client, handle.id) == "started-by-update"
        await handle.signal("end")
        await handle.result()

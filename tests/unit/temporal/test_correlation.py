"""The current correlation, as code, structlog and a span exporter see it."""

import asyncio

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.api.common.v1 import Payload
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from clients.temporal import correlation
from clients.temporal.headers import (
    ID_HEADER,
    SEARCH_ATTRIBUTE,
    TRACE_HEADER,
    headers_of,
    received,
    with_search_attribute,
)
from clients.temporal.spans import Ended, Spans, error_name
from rules.correlation import RANDOM_BYTES, Correlation, begin
from schemas.errors import CaRefused

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def logged() -> dict[str, object]:
    return dict(structlog.contextvars.merge_contextvars(None, "", {}))


def test_it_holds_inside_and_is_gone_outside() -> None:
    assert correlation.current() is None
    assert correlation.current_id() == ""
    with correlation.correlated("request-1", TRACEPARENT) as outer:
        assert correlation.current() == outer
        assert logged() == {
            "correlation_id": "request-1",
            "trace_id": outer.trace_id,
            "span_id": outer.span_id,
        }
        with pytest.raises(KeyError):
            _fails_under("request-2")
        assert correlation.current_id() == "request-1"
        assert logged()["correlation_id"] == "request-1"
    assert correlation.current() is None
    assert logged() == {}


def _fails_under(name: str) -> None:
    with correlation.correlated(name):
        assert correlation.current_id() == name
        raise KeyError


async def test_tasks_do_not_see_each_others() -> None:
    async def task(name: str) -> str:
        correlation.enter(begin(b"r" * RANDOM_BYTES, name))
        await asyncio.sleep(0)
        return correlation.current_id()

    assert list(await asyncio.gather(task("request-1"), task("request-2"))) == ["request-1", "request-2"]
    assert correlation.current_id() == ""


def test_a_callers_own_id_is_kept_if_well_formed() -> None:
    assert correlation.correlation_of("request-1") == "request-1"
    for other in (None, "", "no", "with space", "x" * 65, "line\nbreak-it"):
        assert correlation.correlation_of(other) not in {other, correlation.correlation_of(other)}


def test_onward_is_a_child_of_the_current_span_or_the_first_of_a_trace() -> None:
    assert correlation.onward().parent_span_id == ""
    with correlation.correlated("request-1") as parent:
        call = correlation.onward()
        assert (call.id, call.trace_id, call.parent_span_id) == ("request-1", parent.trace_id, parent.span_id)


def test_headers_round_trip_and_strangers_are_not_believed() -> None:
    sent = begin(b"s" * RANDOM_BYTES, "request-1")
    got = received(headers_of(sent), b"r" * RANDOM_BYTES)
    assert (got.id, got.trace_id, got.parent_span_id) == ("request-1", sent.trace_id, sent.span_id)
    assert set(headers_of(sent)) == {ID_HEADER, TRACE_HEADER}
    for garbage in (b"", b"{", b"1", b'"line\\nbreak"', b'"%b"' % (b"x" * 100), b"\xff"):
        odd = received(
            {ID_HEADER: Payload(data=garbage), TRACE_HEADER: Payload(data=garbage)}, b"r" * RANDOM_BYTES
        )
        assert odd == begin(b"r" * RANDOM_BYTES)


def test_an_id_of_our_own_is_the_trace_id_and_needs_no_header() -> None:
    sent = begin(b"s" * RANDOM_BYTES)
    assert set(headers_of(sent)) == {TRACE_HEADER}
    got = received(headers_of(sent), b"r" * RANDOM_BYTES)
    assert got.id == sent.id == sent.trace_id == got.trace_id


def test_the_search_attribute_joins_those_that_are_given() -> None:
    sent = begin(b"s" * RANDOM_BYTES, "request-1")
    phase = SearchAttributeKey.for_keyword("RedoubtPhase")
    assert with_search_attribute(None, sent)[SEARCH_ATTRIBUTE] == "request-1"  # type: ignore[index]  # typed here
    joined = with_search_attribute(TypedSearchAttributes([SearchAttributePair(phase, "plan")]), sent)
    assert isinstance(joined, TypedSearchAttributes)
    assert (joined[phase], joined[SEARCH_ATTRIBUTE]) == ("plan", "request-1")
    untyped = {"RedoubtPhase": ["plan"]}
    assert with_search_attribute(untyped, sent) == untyped


def exporting() -> tuple[Spans, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    spans = Spans(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return spans, exporter


def test_spans_carry_exactly_our_ids() -> None:
    spans, exporter = exporting()
    root = begin(b"s" * RANDOM_BYTES, "request-1")
    under = received(headers_of(root), b"r" * RANDOM_BYTES)
    spans.record(Ended("StartWorkflow:A", "CLIENT", root, 10, 20, {"temporalWorkflowID": "a"}, None))
    spans.record(Ended("RunWorkflow:A", "SERVER", under, 11, 19, {}, error_name(CaRefused("no"))))
    first, second = exporter.get_finished_spans()
    for span, carried in ((first, root), (second, under)):
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" == carried.trace_id
        assert f"{span.context.span_id:016x}" == carried.span_id
        assert span.attributes is not None
        assert span.attributes["redoubt.correlation_id"] == "request-1"
    assert first.parent is None
    assert second.parent is not None
    assert f"{second.parent.span_id:016x}" == root.span_id
    assert (second.start_time, second.end_time, second.status.description) == (11, 19, "CaRefused")
    assert first.status.is_ok or first.status.is_unset


def test_an_unsampled_trace_exports_nothing_and_others_get_random_ids() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    spans = Spans(provider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    quiet = Correlation("request-1", "a" * 32, "b" * 16, sampled=False, parent_span_id="c" * 16)
    spans.record(Ended("quiet", "SERVER", quiet, 1, 2, {}, None))
    assert exporter.get_finished_spans() == ()
    tracer = provider.get_tracer("another")
    with tracer.start_as_current_span("one"), tracer.start_as_current_span("two"):
        assert correlation.current() is None
    assert len({span.context.span_id for span in exporter.get_finished_spans() if span.context}) == 2


def test_a_span_that_can_not_be_recorded_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    spans, exporter = exporting()
    broken = Correlation("request-1", "no hexadecimal", "b" * 16, sampled=True)
    spans.record(Ended("broken", "SERVER", broken, 1, 2, {}, None))
    assert exporter.get_finished_spans() == ()
    assert "broken was not recorded" in caplog.text

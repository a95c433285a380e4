"""Spans for an OTLP collector, with exactly the IDs that our headers and logs carry.

A span is handed over when it has ended, in one call, so nothing is kept open across a workflow's replays: a run's
span is recorded by the task that ends the run, and never while it is replayed. OpenTelemetry loads only here.
"""
# ruff: noqa: PLC0415 - OpenTelemetry loads only where spans are exported

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, NamedTuple

from rules.correlation import Correlation
from schemas.errors import RedoubtError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

_log = logging.getLogger(__name__)

Kind = Literal["CLIENT", "SERVER"]


class Ended(NamedTuple):
    """A span that is over."""

    name: str
    kind: Kind
    carried: Correlation
    started_ns: int
    ended_ns: int
    attributes: Mapping[str, str]
    error: str | None
    """A code of the catalogue or a class name, never a message."""


def error_name(raised: BaseException) -> str:
    return raised.code if isinstance(raised, RedoubtError) else type(raised).__name__


_ids: ContextVar[Correlation | None] = ContextVar("redoubt_span_ids", default=None)


class Spans:
    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

        class Given(RandomIdGenerator):
            """The IDs of the span that is being recorded; random ones for whoever else uses the provider."""

            def generate_span_id(self) -> int:
                given = _ids.get()
                return int(given.span_id, 16) if given else super().generate_span_id()

            def generate_trace_id(self) -> int:
                given = _ids.get()
                return int(given.trace_id, 16) if given else super().generate_trace_id()

        provider.id_generator = Given()
        self._trace = trace
        # Held here: inside the workflow sandbox, where a run's span is recorded, nothing may be imported.
        self._empty = Context
        self._tracer = provider.get_tracer("redoubt.temporal")

    def record(self, ended: Ended) -> None:
        """What goes wrong here is logged and goes no further: no run may fail over its span."""
        try:
            self._record(ended)
        except Exception:  # noqa: BLE001 - see above
            _log.exception("the span %s was not recorded", ended.name)

    def _record(self, ended: Ended) -> None:
        token = _ids.set(ended.carried)
        try:
            span = self._tracer.start_span(
                ended.name,
                self._parent(ended.carried),
                kind=self._trace.SpanKind[ended.kind],
                attributes={**ended.attributes, "redoubt.correlation_id": ended.carried.id},
                start_time=ended.started_ns,
            )
        finally:
            _ids.reset(token)
        if ended.error is not None:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, ended.error))
        span.end(ended.ended_ns)

    def _parent(self, carried: Correlation) -> "Context":
        if not carried.parent_span_id:
            return self._empty()
        flags = self._trace.TraceFlags(self._trace.TraceFlags.SAMPLED if carried.sampled else 0)
        remote = self._trace.SpanContext(
            int(carried.trace_id, 16), int(carried.parent_span_id, 16), is_remote=True, trace_flags=flags
        )
        return self._trace.set_span_in_context(self._trace.NonRecordingSpan(remote), self._empty())

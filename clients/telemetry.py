"""Logs and spans of every process: one JSON object (or one line for people) a record, on stderr.

Rules: who asked, which run and which activity stand in each record without the caller's help; a value that the
secrets' resolver has handed out is blanked wherever it turns up; a traceback carries no local variables. Records
are rendered where they arise and written by a thread of its own: a workflow task never waits for stderr (the
SDK calls a task that blocks for two seconds a deadlock). If stderr stays blocked, records are dropped.
"""
# ruff: noqa: PLC0415 - OpenTelemetry loads only where spans are exported

import atexit
import contextlib
import json
import logging
import logging.handlers
import queue
import sys
import threading
from typing import IO, TYPE_CHECKING, Any, Final

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

from clients.secrets import SecretSource
from schemas.settings.processes import TelemetrySettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_QUEUED: Final = 10_000
_LAST_WORDS_S: Final = 2.0
_SHORTEST_HIDDEN: Final = 4
_BLANK: Final = "[hidden]"
_CHATTY: Final = ("acme", "httpcore", "httpx", "hvac", "urllib3", "uvicorn.access")
"""They log every request, with URLs in which a secret path may stand: warnings only."""

_hidden: set[str] = set()


def hide(value: bytes) -> None:
    """Blank this secret in every record from now on, also as it looks inside a JSON string."""
    text = value.decode(errors="replace")
    if len(text) >= _SHORTEST_HIDDEN:
        _hidden.update({text, json.dumps(text)[1:-1]})


class HidingSource:
    """A `SecretSource` whose values never show up in the logs."""

    def __init__(self, source: SecretSource) -> None:
        self._source = source

    def resolve(self, reference: str) -> bytes:
        value = self._source.resolve(reference)
        hide(value)
        return value


class _Dropping(logging.handlers.QueueHandler):
    """Neither blocks nor raises at the place that logs."""

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            return  # nobody reads stderr any more: the work goes on without its log


class Logs:
    """Logging as configured, until `stop`, which writes what is still queued, for a few seconds at most."""

    def __init__(self, settings: TelemetrySettings, *, service: str, stream: IO[str] | None = None) -> None:
        out = stream or sys.stderr
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(_QUEUED)
        self._handler = _Dropping(self._records)
        self._handler.setFormatter(_formatter(settings, service, colors=out.isatty()))
        self._thread = threading.Thread(target=self._write, args=(out,), name="logs", daemon=True)
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(settings.log_level)
        self._thread.start()
        atexit.register(self.stop)

    def _write(self, out: IO[str]) -> None:
        writer = logging.StreamHandler(out)
        while (record := self._records.get()) is not None:
            writer.handle(record)

    def stop(self) -> None:
        logging.getLogger().removeHandler(self._handler)
        atexit.unregister(self.stop)
        if self._thread.is_alive():
            with contextlib.suppress(queue.Full):
                self._records.put(None, timeout=_LAST_WORDS_S)
            self._thread.join(_LAST_WORDS_S)


def configure_logging(settings: TelemetrySettings, *, service: str, stream: IO[str] | None = None) -> Logs:
    """Route structlog, the standard library's loggers and the Temporal SDK's to `stream` (stderr)."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *_context(service),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    return Logs(settings, service=service, stream=stream)


def _formatter(settings: TelemetrySettings, service: str, *, colors: bool) -> ProcessorFormatter:
    render: list[Processor] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    if settings.log_format == "console":
        # Not the default renderer of tracebacks: it prints the local variables.
        plain = structlog.dev.plain_traceback
        render = [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]
    return ProcessorFormatter(
        foreign_pre_chain=[*_context(service), _without_temporal_suffix],
        processors=[ProcessorFormatter.remove_processors_meta, *render, _blank],
    )


def _context(service: str) -> list[Processor]:
    def who(_logger: Any, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        who,
        _add_run,
    ]


def _add_run(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Name the run and the activity that this thread works for, if any."""
    activity, workflow = sys.modules.get("temporalio.activity"), sys.modules.get("temporalio.workflow")
    if activity is not None and activity.in_activity():
        info = activity.info()
        event.setdefault("activity", info.activity_type)
        event.setdefault("attempt", info.attempt)
        event.setdefault("workflow_id", info.workflow_id)
        event.setdefault("run_id", info.workflow_run_id)
    elif workflow is not None and workflow.in_workflow():
        event.setdefault("workflow_id", workflow.info().workflow_id)
        event.setdefault("run_id", workflow.info().run_id)
    return event


def _without_temporal_suffix(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """The SDK's loggers append to each message, as a dict, what `_add_run` has said already."""
    record = event.get("_record")
    told = getattr(record, "temporal_workflow", None) or getattr(record, "temporal_activity", None)
    if told is not None:
        event["event"] = str(event["event"]).removesuffix(f" ({told})")
    return event


def _blank(_logger: Any, _method: str, rendered: Any) -> Any:
    """Last of all, on the finished line: wherever the secret came from, it does not leave."""
    for secret in tuple(_hidden):
        rendered = rendered.replace(secret, _BLANK)
    return rendered


def start_tracing(settings: TelemetrySettings, *, service: str) -> "TracerProvider | None":
    """Export spans by OTLP over HTTP where the settings say so; the library loads only then.

    Whoever starts it shuts it down before the process ends: the last spans leave then.
    """
    if settings.otlp_endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = Resource.create({"service.name": f"redoubt-{service}"})
    provider = TracerProvider(resource=named, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_endpoint)))
    return provider

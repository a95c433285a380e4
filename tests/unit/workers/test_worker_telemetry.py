"""Logs: one record a line on the given stream, with who and where, and never a secret."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
import structlog

from clients.telemetry import HidingSource, Logs, configure_logging, start_tracing
from schemas.settings.processes import TelemetrySettings

CANARY = 'canary-"quoted"-7b1e'


class Source:
    def resolve(self, reference: str) -> bytes:
        return {"env:LONG": CANARY.encode(), "env:SHORT": b"71"}[reference]


@pytest.fixture
def logging_to() -> Iterator[Callable[..., tuple[Logs, io.StringIO]]]:
    started: list[Logs] = []
    root = logging.getLogger()
    level, kept = root.level, structlog.get_config()

    def start(
        form: Literal["json", "console"] = "json", level: Any = "INFO", stream: io.StringIO | None = None
    ) -> tuple[Logs, io.StringIO]:
        stream = io.StringIO() if stream is None else stream
        settings = TelemetrySettings(log_format=form, log_level=level)
        started.append(configure_logging(settings, service="test", stream=stream))
        return started[-1], stream

    yield start
    for logs in started:
        logs.stop()
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.configure(**kept)


def test_both_kinds_of_loggers_write_one_json_object_a_line(logging_to: Any) -> None:
    logs, stream = logging_to()
    with structlog.contextvars.bound_contextvars(correlation_id="abc"):
        structlog.get_logger("ours").info("renewed", certificate="www")
        logging.getLogger("theirs").warning("%d left", 3)
    logs.stop()
    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (ours["event"], ours["certificate"], ours["level"]) == ("renewed", "www", "info")
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("3 left", "warning", "theirs")
    assert ours["service"] == theirs["service"] == "test"
    assert ours["correlation_id"] == theirs["correlation_id"] == "abc"


def fail(secret: str) -> None:
    raise ValueError(secret)


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_resolved_secret_is_blanked_wherever_it_turns_up(
    logging_to: Any, form: Literal["json", "console"]
) -> None:
    logs, stream = logging_to(form)
    secret = HidingSource(Source()).resolve("env:LONG").decode()
    structlog.get_logger("ours").info(secret, of={"deep": [secret]})
    logging.getLogger("theirs").error("PIN %s", secret)
    try:
        fail(secret)
    except ValueError:
        structlog.get_logger("ours").exception("failed")
    logs.stop()
    text = stream.getvalue()
    assert "canary" not in text
    assert text.count("[hidden]") >= 4


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_no_local_variables(logging_to: Any, form: Literal["json", "console"]) -> None:
    logs, stream = logging_to(form)

    def with_local(held: str) -> None:
        raise ValueError(len(held))

    try:
        with_local("local-value-of-a-frame")
    except ValueError:
        structlog.get_logger("ours").exception("failed")
    logs.stop()
    # The call's own source line holds the literal; a dump of locals would repeat it with its name.
    assert "held = " not in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_a_value_too_short_to_hide_leaves_the_log_readable(logging_to: Any) -> None:
    logs, stream = logging_to()
    HidingSource(Source()).resolve("env:SHORT")
    logging.getLogger("theirs").warning("71 of 100")
    logs.stop()
    assert json.loads(stream.getvalue())["event"] == "71 of 100"


def test_levels_are_kept_and_libraries_that_log_urls_are_quiet(logging_to: Any) -> None:
    logs, stream = logging_to(level="INFO")
    structlog.get_logger("ours").debug("no")
    logging.getLogger("httpx").info("GET /secret-path")
    logs.stop()
    assert stream.getvalue() == ""


def test_stopping_twice_is_no_error_and_nothing_is_written_after(logging_to: Any) -> None:
    logs, stream = logging_to()
    logs.stop()
    logs.stop()
    logging.getLogger("theirs").warning("late")
    assert stream.getvalue() == ""


def test_a_reader_that_has_stopped_holds_up_nobody(logging_to: Any) -> None:
    """More records than the queue holds, while the stream blocks."""
    release = threading.Event()

    class Blocked(io.StringIO):
        def write(self, text: str) -> int:
            release.wait()
            return super().write(text)

    logs, stream = logging_to(stream=Blocked())
    for _ in range(10_100):
        logging.getLogger("theirs").warning("line")
    release.set()
    logs.stop()
    assert 10_000 <= len(stream.getvalue().splitlines()) < 10_100


def test_no_span_leaves_without_an_endpoint() -> None:
    assert start_tracing(TelemetrySettings(), service="test") is None


def test_spans_go_to_the_endpoint_under_the_services_name() -> None:
    settings = TelemetrySettings(otlp_endpoint="http://127.0.0.1:9/v1/traces")
    provider = start_tracing(settings, service="worker-test")
    assert provider is not None
    assert provider.resource.attributes["service.name"] == "redoubt-worker-test"
    provider.shutdown()

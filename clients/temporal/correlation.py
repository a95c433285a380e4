"""The correlation that this thread or task works under, for whoever logs, records evidence or calls on.

Context variables, so each task and each activity's thread sees its own. Those named `structlog_…` are what
structlog's `merge_contextvars` puts into every record: nothing is bound twice, and structlog need not be loaded.
"""

import contextvars
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from typing import Any

from rules.correlation import RANDOM_BYTES, Correlation, begin, child

_current: ContextVar[Correlation | None] = ContextVar("redoubt_correlation", default=None)
_logged_id: ContextVar[str] = ContextVar("structlog_correlation_id")
_logged_trace: ContextVar[str] = ContextVar("structlog_trace_id")
_logged_span: ContextVar[str] = ContextVar("structlog_span_id")


def current() -> Correlation | None:
    return _current.get()


def current_id() -> str:
    """The correlation ID as evidence and messages name it; empty outside any request."""
    correlation = _current.get()
    return correlation.id if correlation else ""


def enter(correlation: Correlation) -> None:
    """From here to the end of this task or thread. Where the task goes on to other work, use `correlated`."""
    _current.set(correlation)
    _logged_id.set(correlation.id)
    _logged_trace.set(correlation.trace_id)
    _logged_span.set(correlation.span_id)


@contextmanager
def correlated(correlation_id: str | None = None, traceparent: str | None = None) -> Iterator[Correlation]:
    """Work under a caller's correlation where it is well formed, else under a new one."""
    correlation = begin(os.urandom(RANDOM_BYTES), correlation_id, traceparent)
    outer = contextvars.copy_context()
    enter(correlation)
    try:
        yield correlation
    finally:
        for variable in (_current, _logged_id, _logged_trace, _logged_span):
            _restore(variable, outer)


def _restore(variable: ContextVar[Any], outer: Context) -> None:
    """Structlog reads `...` as unset."""
    variable.set(outer.get(variable, None if variable is _current else ...))


def correlation_of(given: str | None) -> str:
    """A caller's own ID if it is well formed, else a new one."""
    return begin(os.urandom(RANDOM_BYTES), given).id


def onward() -> Correlation:
    """The span of a call that is about to leave: a child of the current one, or the first of a new trace."""
    parent = _current.get()
    if parent is None:
        return begin(os.urandom(RANDOM_BYTES))
    return child(parent, os.urandom(8))

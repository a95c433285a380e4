"""Which request a piece of work belongs to: the correlation ID that people search for, and W3C Trace Context.

- A correlation ID has 8 to 64 characters of letters, digits, `.`, `_`, `:` and `-`, and begins and ends with a
  letter or digit: it fits into a header, a log line, a search attribute and JSON without escaping. A caller's own
  is kept as it is; anything else is replaced, never repaired.
- `traceparent` is read as W3C Trace Context level 1 asks: version ff, upper case and all-zero IDs are invalid, a
  later version is read as far as version 00 goes. It is always written as version 00, with the sampled flag only.
- Parent and child share the trace ID and never a span ID.
- No randomness of its own: bytes come in, so that a workflow can give its deterministic ones.
"""

import re
from typing import Final, NamedTuple

RANDOM_BYTES: Final = 24
"""What a new correlation takes: 16 bytes for the trace ID, 8 for the span ID."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{6,62}[A-Za-z0-9]", re.ASCII)
_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_SAMPLED: Final = 1


class Trace(NamedTuple):
    trace_id: str
    span_id: str
    sampled: bool


class Correlation(NamedTuple):
    id: str
    trace_id: str
    span_id: str
    """The span of whoever holds this: what it calls gets it as the parent."""
    sampled: bool
    parent_span_id: str = ""
    """Empty for the first span of a trace."""

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def well_formed(correlation_id: str) -> bool:
    return _ID.fullmatch(correlation_id) is not None


def parse_traceparent(header: str) -> Trace | None:
    found = _TRACEPARENT.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    if not int(trace_id, 16) or not int(span_id, 16):
        return None
    return Trace(trace_id, span_id, bool(int(flags, 16) & _SAMPLED))


def begin(random: bytes, correlation_id: str | None = None, traceparent: str | None = None) -> Correlation:
    """Go on with what the caller sent where it is well formed; make what is missing from `random`.

    A correlation ID that is made equals the trace ID, so that either leads to the other.
    """
    trace = parse_traceparent(traceparent) if traceparent else None
    made_trace, span_id = _nonzero(random[:16]), _nonzero(random[16:RANDOM_BYTES])
    trace_id = trace.trace_id if trace else made_trace
    kept = correlation_id if correlation_id and well_formed(correlation_id) else trace_id
    if trace is None:
        return Correlation(kept, trace_id, span_id, sampled=True)
    return Correlation(kept, trace_id, _other(span_id, trace.span_id), trace.sampled, trace.span_id)


def child(parent: Correlation, random: bytes) -> Correlation:
    """A span of the same trace under `parent`; `random` has 8 bytes."""
    span_id = _other(_nonzero(random), parent.span_id)
    return Correlation(parent.id, parent.trace_id, span_id, parent.sampled, parent.span_id)


def _nonzero(random: bytes) -> str:
    """All zeros means "invalid" to W3C."""
    return random.hex() if any(random) else random[:-1].hex() + "01"


def _other(span_id: str, than: str) -> str:
    """Flip the last bit where the random bytes gave the parent's own ID again, and stay away from zero."""
    if span_id != than:
        return span_id
    return f"{int(span_id, 16) ^ 2 or 1:016x}"

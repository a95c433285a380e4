"""How a correlation travels: in headers, and in a search attribute by which people find the run.

W3C's `traceparent` goes with every call. A caller's own correlation ID has a header of its own; one that we made is
the trace ID and needs none, which spares every call an encryption and every event its bytes.
"""

import json
from collections.abc import Mapping

from temporalio.api.common.v1 import Payload
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributes,
    TypedSearchAttributes,
)

from rules.correlation import Correlation, begin

ID_HEADER = "redoubt-correlation-id"
TRACE_HEADER = "traceparent"
SEARCH_ATTRIBUTE = SearchAttributeKey.for_keyword("RedoubtCorrelationId")

_JSON = {"encoding": b"json/plain"}


def headers_of(carried: Correlation) -> dict[str, Payload]:
    """Neither value ever needs escaping in JSON."""
    headers = {TRACE_HEADER: Payload(metadata=_JSON, data=f'"{carried.traceparent}"'.encode())}
    if carried.id != carried.trace_id:
        headers[ID_HEADER] = Payload(metadata=_JSON, data=f'"{carried.id}"'.encode())
    return headers


def received(headers: Mapping[str, Payload], random: bytes) -> Correlation:
    """The receiver's own span under what the headers carry; what is missing or malformed is made."""
    return begin(random, _text(headers.get(ID_HEADER)), _text(headers.get(TRACE_HEADER)))


def with_search_attribute(
    given: SearchAttributes | TypedSearchAttributes | None, carried: Correlation
) -> SearchAttributes | TypedSearchAttributes:
    """The deprecated untyped form is left alone: the run then sets the attribute itself."""
    pair = SearchAttributePair(SEARCH_ATTRIBUTE, carried.id)
    if given is None:
        return TypedSearchAttributes([pair])
    return given.updated(pair) if isinstance(given, TypedSearchAttributes) else given


def _text(payload: Payload | None) -> str | None:
    if payload is None:
        return None
    try:
        value = json.loads(payload.data)
    except ValueError:
        return None
    return value if isinstance(value, str) else None

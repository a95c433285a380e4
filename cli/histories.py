"""Histories of runs as files, and what is inside their payloads.

A file holds what `temporal workflow show -o json` prints, so that anyone's tools read it. Payloads stay encrypted in
it unless decoding is asked for. `unreadable` is asked before a replay: in a replay a missing key looks like
nondeterminism, and it is none.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowHistory
from temporalio.converter import PayloadCodec

from schemas.errors import InvalidInput

MAX_BYTES: Final = 128 << 20
"""A run has 50 MB of history at most; base64 and JSON add to it."""


def read(file: Path) -> WorkflowHistory:
    try:
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as refused:
        raise InvalidInput(f"The history {file} can't be read: {refused.strerror}.") from None
    if len(raw) > MAX_BYTES:
        raise InvalidInput(f"The history {file} is larger than {MAX_BYTES} bytes.")
    try:
        history = WorkflowHistory.from_json(file.stem, raw.decode())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InvalidInput(f"{file} is no history: export one with `redoubt history export`.") from None
    if not history.events:
        raise InvalidInput(f"The history {file} has no events.")
    named = history.events[0].workflow_execution_started_event_attributes.workflow_id
    return WorkflowHistory(named or file.stem, history.events)


async def decoded(history: WorkflowHistory, codec: PayloadCodec) -> WorkflowHistory:
    """A copy with every payload decoded, in failures and headers too. Raises what the codec raises."""
    events = [copy.deepcopy(event) for event in history.events]
    for payload in (payload for event in events for payload in _payloads(event)):
        plain = await codec.decode([payload])
        payload.CopyFrom(plain[0])
    return WorkflowHistory(history.workflow_id, events)


async def unreadable(history: WorkflowHistory, codec: PayloadCodec) -> str:
    """Why this history can't be decoded here; empty if it can."""
    try:
        await decoded(history, codec)
    except RuntimeError as refused:
        return str(refused)
    return ""


def _payloads(message: Message) -> Iterator[Payload]:
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None or field.name == "search_attributes":
            continue
        yield from (payload for one in _messages(field, value) for payload in _payloads(one))


def _messages(field: Any, value: Any) -> list[Message]:
    if field.message_type.GetOptions().map_entry:
        held = field.message_type.fields_by_name["value"].message_type is not None
        return [value[key] for key in value] if held else []
    return list(value) if field.is_repeated else [value]

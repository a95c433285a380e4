"""What clients can read of a fleet's runs, wherever they may ask, tells nothing of how the host is laid out.

Asked for: every event of the decoded histories with its failures, what pending steps last said, the query `status`,
the current details, and what the API and the commands answer. A worker must run, to answer too.
"""

import json
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

from google.protobuf.message import Message
from temporalio.api.failure.v1 import Failure
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle, WorkflowQueryFailedError

from cli.cluster import Cluster
from cli.following import look
from cli.histories import decoded
from tests.acceptance.cases import Cases
from tests.acceptance.fleet import wait_until
from workers.wiring import Wiring

INSIDES = re.compile(
    r"Traceback|File \"|\.py\b|site-packages|sqlite|\b(?:SELECT|INSERT|UPDATE|DELETE)\b|(?:^|[\s\"'`(=,;<|])~?/+[^\s/]"
)
"""A stack, SQL, or an absolute path: written without the product's own rule for redaction."""


async def assert_no_insides(cases: Cases, *kept: str) -> None:
    """`kept`: what runs left out of their words, which the worker's log has, with the correlation ID beside it."""
    client, codec, failures = await cases.client(), Wiring(cases.settings()).codec(), 0
    async for run in client.list_workflows():
        handle = client.get_workflow_handle(run.id, run_id=run.run_id)
        plain = await decoded(await handle.fetch_history(), codec)
        failures += sum(1 for event in plain.events for _ in _failures(event))
        found = [words async for words in _told(cases, client, handle, plain.events) if INSIDES.search(words)]
        found += [str(event) for event in plain.events if _ours(cases) in event.SerializeToString()]
        assert not found, (run.id, found)
    assert failures > 0
    wait_until(lambda: all(_logged(cases, words) for words in kept), 20, f"{kept} in the worker's log")


def _ours(cases: Cases) -> bytes:
    """The folder of the whole installation: secrets, targets, web servers and records lie below it."""
    return str(cases.fleet.folder).encode()


async def _told(
    cases: Cases, client: Client, handle: WorkflowHandle[Any, Any], events: Iterable[Message]
) -> AsyncIterator[str]:
    for failure in (failure for event in events for failure in _failures(event)):
        yield failure.message
        yield failure.stack_trace
        yield failure.encoded_attributes.data.decode()
        for payload in failure.application_failure_info.details.payloads:
            yield payload.data.decode()
    described = await handle.describe()
    for pending in described.raw_description.pending_activities:
        if pending.HasField("last_failure"):
            last = await client.data_converter.decode_failure(pending.last_failure)
            yield str(last)
    yield json.dumps((await look(Cluster(cases.settings()), handle.id, handle.run_id)).row())
    yield await _answer(handle, "status", None)
    yield await _answer(handle, "__temporal_workflow_metadata", WorkflowMetadata)


async def _answer(handle: WorkflowHandle[Any, Any], query: str, kind: type | None) -> str:
    """A run whose input was refused has begun nothing that could answer; it says so."""
    try:
        return str(await handle.query(query, result_type=kind))
    except WorkflowQueryFailedError as refused:
        return str(refused)


def _failures(message: Message) -> Iterator[Failure]:
    """Those of an event, each with its causes."""
    if isinstance(message, Failure):
        yield message
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for one in value if field.is_repeated else (value,):
            yield from _failures(one)


def _logged(cases: Cases, words: str) -> bool:
    lines = [line for log in cases.fleet.folder.glob("*.log") for line in log.read_text("utf-8").splitlines()]
    return any(words in line and re.search(r"correlation ID \S{8,}", line) for line in lines)

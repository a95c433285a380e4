"""What people and strangers send: it ends a wrong start at once, and never disturbs a running run."""

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import RPCError, WorkflowQueryFailedError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from tests.integration.temporal.house import House, errand, events_of, failure_of, typed
from tests.replay.platform import Word

CANARY = "canary-9b0c"


@pytest.mark.parametrize(
    ("kind", "args", "code", "told"),
    [
        ("RunErrand", [typed(f'{{"name": "{CANARY}"')], "InvalidInput", "Invalid JSON"),
        ("RunErrand", [typed(f'{{"name": "a", "pin": "{CANARY}"}}')], "InvalidInput", "pin: Extra inputs"),
        (
            "RunErrand",
            [typed(f'{{"name": "a", "count": "{CANARY}"}}')],
            "InvalidInput",
            "count: Input should be",
        ),
        ("RunErrand", [typed(f'"{CANARY}"')], "InvalidInput", "should be an object"),
        (
            "RunErrand",
            [Payload(metadata={"encoding": b"odd"}, data=CANARY.encode())],
            "InvalidInput",
            "send JSON",
        ),
        ("RunErrand", [], "InvalidInput", "one JSON object"),
        ("RunErrand", [typed('{"name": "a"}'), typed(f'"{CANARY}"')], "InvalidInput", "one JSON object"),
        ("RunErrand", [typed('{"name": "a"}'), typed(CANARY)], "InvalidInput", "Invalid JSON"),
        (f"Run{CANARY}", [typed(CANARY)], "UnknownWorkflowType", "no such workflow type"),
        ("NoSuchType", [], "UnknownWorkflowType", "no such workflow type"),
    ],
)
async def test_a_wrong_start_fails_at_once_and_says_why(
    house: House, kind: str, args: list[Payload], code: str, told: str
) -> None:
    client, plain = await house.client(), await house.plain()
    async with house.worker(client):
        started = await house.start(plain, kind, *args)
        error = await failure_of(client.get_workflow_handle(started.id))
    assert error.type == code
    assert error.non_retryable
    assert told in str(error)
    assert "`redoubt schema" in str(error)
    assert CANARY not in f"{error} {error.details!r}"
    events = await events_of(started)
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in {event.event_type for event in events}
    assert CANARY.encode() not in events[-1].SerializeToString()


async def test_strange_signals_and_updates_do_not_disturb_a_running_run(house: House) -> None:
    client, plain = await house.client(), await house.plain()
    garbage = [
        [typed(f"{{{CANARY}")],
        [typed(f'{{"text": 1, "{CANARY}": 1}}')],
        [Payload(metadata={"encoding": b"odd"}, data=CANARY.encode())],
        [],
        [typed('{"text": "a"}'), typed('{"text": "b"}')],
    ]
    async with house.worker(client):
        started = await house.start(client, "Listen", errand(note="first"))
        stranger = plain.get_workflow_handle(started.id)
        for args in garbage:
            raw = [RawValue(payload) for payload in args]
            await stranger.signal("hear", args=raw)
            await stranger.signal(f"unknown-{CANARY}", args=raw)
            for update in ("tell", "agree", f"unknown-{CANARY}"):
                with pytest.raises(WorkflowUpdateFailedError) as refused:
                    await client.get_workflow_handle(started.id).execute_update(update, args=raw)
                assert isinstance(refused.value.cause, ApplicationError)
                assert refused.value.cause.type == "InvalidInput"
                assert CANARY not in str(refused.value.cause)
        # Plain and right is as welcome as ours: who may send is not the codec's business.
        await stranger.signal("hear", Word(text="plain").model_dump())
        assert await started.execute_update("agree", Word(text="ours")) == "ours"
        assert await started.query("heard") == ["first", "plain", "ours"]
        await started.signal("end")
        assert await started.result() == ["first", "plain", "ours"]
    kinds = {event.event_type for event in await events_of(started)}
    assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in kinds


async def test_an_unknown_query_is_answered_with_an_error_and_not_with_a_quote(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        started = await house.start(client, "Listen", errand())
        with pytest.raises((WorkflowQueryFailedError, RPCError)) as refused:
            await started.query(f"unknown-{CANARY}")
        assert "/" not in str(refused.value)
        await started.signal("end")
        await started.result()


async def test_a_refused_update_tells_its_reason(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        started = await house.start(client, "Listen", errand())
        for update in ("agree", "tell"):
            with pytest.raises(WorkflowUpdateFailedError) as refused:
                await started.execute_update(update, Word(text="x", fails=True))
            assert isinstance(refused.value.cause, ApplicationError)
            assert refused.value.cause.type == "NotAllowed"
        await started.signal("end")
        await started.result()

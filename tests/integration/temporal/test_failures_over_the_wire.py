"""What a client sees of an error that happened in a worker."""

import logging

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError, CancelledError

from clients.temporal.correlation import correlated
from tests.integration.temporal.house import House, errand, events_of, eventually, failure_of
from tests.replay.platform import SQL, WAITING


async def activity_error(house: House, fails: str) -> tuple[ApplicationError, bytes]:
    client = await house.client()
    async with house.worker(client):
        with correlated("request-fails-1"):
            started = await house.start(client, "RunErrand", errand(fails=fails))
        with pytest.raises(WorkflowFailureError) as failed:
            await started.result()
    assert isinstance(failed.value.cause, ActivityError)
    assert isinstance(failed.value.cause.cause, ApplicationError)
    raw = b"".join(event.SerializeToString() for event in await events_of(started))
    return failed.value.cause.cause, raw


@pytest.mark.parametrize(
    ("fails", "code", "told"),
    [("unknown", "Internal", "request-fails-1"), ("catalogue", "TargetUnreachable", "web-1 is away.")],
)
async def test_no_stack_no_path_and_no_sql_reach_the_client(
    house: House, caplog: pytest.LogCaptureFixture, fails: str, code: str, told: str
) -> None:
    with caplog.at_level(logging.WARNING):
        error, raw = await activity_error(house, fails)
    assert error.type == code
    assert told in error.message
    assert error.details[0]["correlation_id"] == "request-fails-1"
    assert error.cause is None
    assert error.failure is not None
    assert error.failure.stack_trace == ""
    for secret in (SQL, "INSERT", "/srv", ".py", "Traceback", "OSError"):
        assert secret not in f"{error} {error.details!r}"
        assert secret.encode() not in raw
    assert SQL in caplog.text


async def test_an_error_of_the_catalogue_in_workflow_code_fails_the_run(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        error = await failure_of(await house.start(client, "RunErrand", errand(fails="in the workflow")))
    assert error.type == "VerificationFailed"
    assert "web-1 shows another certificate." in error.message


async def test_a_bug_in_workflow_code_waits_for_its_fix(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        started = await house.start(client, "RunErrand", errand(fails="bug", note="canary-77aa"))

        async def task_failed() -> bytes | None:
            failed = [
                event.SerializeToString()
                for event in await events_of(started)
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
            ]
            return failed[0] if failed else None

        event = await eventually(task_failed, "a failed workflow task")
        assert b"canary-77aa" not in event
        assert b".py" not in event
        description = await started.describe()
        assert description.status is not None
        assert description.status.name == "RUNNING"
        await started.terminate()


async def test_a_cancelled_run_is_cancelled_and_not_failed(house: House) -> None:
    client = await house.client()
    WAITING.clear()
    async with house.worker(client):
        started = await house.start(client, "RunErrand", errand(fails="cancel"))

        async def waiting() -> bool:
            return WAITING.is_set()

        await eventually(waiting, "the activity to run")
        await started.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await started.result()
    assert isinstance(failed.value.cause, CancelledError)

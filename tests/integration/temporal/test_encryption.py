"""Nothing readable reaches the server; keys come and go, and no run fails over it."""

from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import Replayer

from clients.temporal.codec import ENCODING, RedoubtCodec
from clients.temporal.correlation import correlated
from clients.temporal.keyring import KeyRing
from clients.temporal.plugin import RedoubtPlugin
from tests.integration.temporal.house import House, errand, events_of, eventually, payloads_in
from tests.replay.platform import WORKFLOWS, Word

CANARY = "canary-c0ffee"


async def test_raw_histories_hold_no_canary_and_decoded_ones_are_right(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        with correlated(f"{CANARY}-id"):
            ran = await house.start(client, "RunErrand", errand(note=CANARY))
            assert (await ran.result())["note"] == CANARY
            heard = await house.start(client, "Listen", errand(note=CANARY))
            await heard.signal("hear", Word(text=CANARY))
            assert await heard.execute_update("agree", Word(text=CANARY)) == CANARY
            assert await heard.execute_update("tell", Word(text=CANARY)) == f"{CANARY}-id"
            assert await heard.query("heard") == [CANARY] * 4
            await heard.signal("end")
            assert await heard.result() == [CANARY] * 4
            broken = await house.start(client, "RunErrand", errand(note=CANARY, fails="unknown"))
            with pytest.raises(Exception, match="Workflow execution failed"):
                await broken.result()
    for handle in (ran, client.get_workflow_handle(f"{ran.id}/leg"), heard, broken):
        for event in await events_of(handle):
            _clear_search_attributes(event)
            assert CANARY.encode() not in event.SerializeToString(), event
            for payload in payloads_in(event):
                assert payload.metadata["encoding"] == ENCODING, event


def _clear_search_attributes(event: Any) -> None:
    """They are plain by nature, so nothing confidential stands there: the correlation ID does."""
    for _, attributes in event.ListFields():
        if hasattr(attributes, "search_attributes"):
            attributes.ClearField("search_attributes")


async def test_an_encrypted_history_replays_through_the_same_plugin(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        started = await house.start(client, "RunErrand", errand(note=CANARY))
        await started.result()
    history = await started.fetch_history()
    fresh = RedoubtPlugin(RedoubtCodec(KeyRing(house.store, "redoubt")))
    result = await Replayer(workflows=WORKFLOWS, plugins=[fresh]).replay_workflow(history)
    assert result.replay_failure is None


async def _task_has_failed(handle: WorkflowHandle[Any, Any]) -> bool:
    return any(
        event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in await events_of(handle)
    )


async def test_a_worker_without_the_key_leaves_the_task_to_one_that_has_it(
    house: House, temporal_server: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    client = await house.client()
    stranger = House(temporal_server, tmp_path_factory.mktemp("stranger"))
    stranger.ring.rotate()
    started = await house.start(client, "RunErrand", errand(note="kept"))
    await _waits_for_its_key(house, await house.client(stranger.ring), started)
    async with house.worker(client):
        assert (await started.result())["note"] == "kept"


async def test_a_payload_of_another_scope_is_refused_and_waits(house: House) -> None:
    client = await house.client()
    started = await house.start(client, "RunErrand", errand(note="kept"))
    await _waits_for_its_key(house, await house.client(KeyRing(house.store, "another")), started)
    async with house.worker(client):
        assert (await started.result())["note"] == "kept"


async def _waits_for_its_key(house: House, without: Client, started: WorkflowHandle[Any, Any]) -> None:
    async with house.worker(without):

        async def failed() -> bool:
            return await _task_has_failed(started)

        await eventually(failed, "a refused task")
        description = await started.describe()
        assert description.status is not None
        assert description.status.name == "RUNNING"


async def test_a_rotation_in_the_middle_of_a_run_is_not_noticed(house: House) -> None:
    client = await house.client()
    async with house.worker(client):
        started = await house.start(client, "Listen", errand(note="before"))
        assert await started.query("heard") == ["before"]
        house.ring.rotate()
        assert await started.execute_update("agree", Word(text="after")) == "after"
        await started.signal("end")
        assert await started.result() == ["before", "after"]
    payloads = [payload for event in await events_of(started) for payload in payloads_in(event)]
    keys = {payload.metadata["key-id"] for payload in payloads if payload.metadata["encoding"] == ENCODING}
    assert keys == {b"payload-codec/1", b"payload-codec/2"}
    # A process that starts today reads both: the first key was never thrown away.
    fresh = RedoubtPlugin(RedoubtCodec(KeyRing(house.store, "redoubt")))
    replayer = Replayer(workflows=WORKFLOWS, plugins=[fresh])
    assert (await replayer.replay_workflow(await started.fetch_history())).replay_failure is None

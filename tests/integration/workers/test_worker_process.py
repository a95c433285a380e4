"""The worker process on a real server: it starts only when it can work, drains, and never lingers half-alive."""

import asyncio
import re
import signal
import time
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from cli.dev.process import Child, free_port
from cli.dev.servers import Token, start_temporal, temporal
from clients.temporal.correlation import correlated
from clients.tools import find
from tests.integration.workers.conftest import Workers
from tests.integration.workers.installation import Installation, Running, install
from tests.integration.workers.tiny_pool import Hold, HoldInput
from workers.queues import pollers, promote


async def until(condition: Callable[[], Any], what: str, within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        await asyncio.sleep(0.02)


async def started(made: Installation, name: str) -> WorkflowHandle[Any, Any]:
    client = await made.wiring.client(made.pool)
    return await client.start_workflow(
        Hold.run, HoldInput(name=name), id=f"hold/{uuid.uuid4()}", task_queue=made.pool
    )


async def events(handle: WorkflowHandle[Any, Any]) -> list[int]:
    return [event.event_type async for event in handle.fetch_history_events()]


async def holding(made: Installation, name: str) -> WorkflowHandle[Any, Any]:
    """A run whose activity is in the middle of its work."""
    handle = await started(made, name)
    await until((made.folder / f"{name}.started").exists, f"{name} runs")
    return handle


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def unready(running: Running) -> dict[str, str]:
    """What its checks say while it is not ready. Each has two seconds, which a busy machine may need for any."""
    status, told = running.ask("/readyz")
    checks: dict[str, str] = told.get("checks", {}) if status == 503 else {}
    return checks


def failing(running: Running) -> set[str]:
    return {name for name, said in unready(running).items() if said != "ok"}


def draining(running: Running) -> bool:
    return any(line["event"].startswith("draining") for line in running.said())


async def test_sigterm_lets_the_running_activity_finish(installation: Installation, worker: Workers) -> None:
    running = worker(installation)
    handle = await holding(installation, "one")

    running.child.signal(signal.SIGTERM)
    await until(lambda: "draining" in running.ask("/readyz")[1].get("checks", {}), "not ready while draining")
    assert running.ask("/livez")[0] == 200
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED not in await events(handle)
    (installation.folder / "one.release").touch()

    assert running.child.wait(60) == 0
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED in await events(handle)
    await handle.terminate()


async def test_a_second_signal_ends_it_at_once(installation: Installation, worker: Workers) -> None:
    running = worker(installation, graceful_shutdown_s=600.0)
    handle = await holding(installation, "one")
    running.child.signal(signal.SIGTERM)
    await until(lambda: draining(running), "it drains")
    running.child.signal(signal.SIGINT)
    assert running.child.wait(60) == 128 + signal.SIGINT
    await handle.terminate()


async def test_after_its_grace_an_activity_is_cancelled_and_the_worker_ends(
    installation: Installation, worker: Workers
) -> None:
    running = worker(installation, graceful_shutdown_s=0.2)
    handle = await holding(installation, "one")
    running.child.signal(signal.SIGTERM)
    assert running.child.wait(60) == 0
    (left,) = (await handle.describe()).raw_description.pending_activities
    assert left.last_failure.application_failure_info.type == "WorkerShutdown"
    await handle.terminate()


async def test_an_activity_that_can_not_be_cancelled_does_not_keep_the_process(
    installation: Installation, worker: Workers
) -> None:
    running = worker(installation, graceful_shutdown_s=0.2)
    handle = await holding(installation, "stubborn")
    running.child.signal(signal.SIGTERM)
    assert running.child.wait(60) == 1
    assert any("leaves without it" in line["event"] for line in running.said())
    await handle.terminate()


async def test_when_a_poller_dies_the_process_ends_with_a_failure(
    installation: Installation, worker: Workers
) -> None:
    """The SDK stops a worker whose threads are broken: the process must not go on without it."""
    running = worker(installation, "broken")
    handle = await started(installation, "never")
    assert await asyncio.to_thread(running.child.wait, 60) == 1
    assert any(line["event"] == "stopped working: the process ends" for line in running.said())
    await handle.terminate()


async def test_it_is_not_ready_once_its_namespace_is_gone(
    installation: Installation, worker: Workers
) -> None:
    namespace = f"doomed-{uuid.uuid4().hex[:8]}"
    operator(installation, "namespace", "create", "--retention", "1d", "--namespace", namespace)
    installation.document["temporal"]["namespace"] = namespace
    running = await asyncio.to_thread(worker, installation)
    operator(installation, "namespace", "delete", "--yes", "--namespace", namespace)
    wanted = {f"temporal {namespace}": "DependencyUnavailable"}
    await until(lambda: wanted.items() <= unready(running).items(), "not ready, and why")
    assert running.ask("/livez")[0] == 200


def operator(made: Installation, *words: str) -> None:
    address = made.document["temporal"]["address"]
    argv = [find("temporal"), "operator", *words, "--address", address]
    child = Child("operator", argv, made.folder / "operator.log")
    child.start()
    assert child.wait(60) == 0, child.last_words()


async def test_each_half_of_a_pool_runs_in_a_process_of_its_own(
    installation: Installation, worker: Workers
) -> None:
    worker(installation, "workflows", name="workflows")
    (installation.folder / "split.release").touch()
    handle = await started(installation, "split")
    await scheduled(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
    assert not (installation.folder / "split.started").exists()
    worker(installation, "activities", name="activities")
    await until((installation.folder / "split.started").exists, "the other half takes the activity")
    assert (await handle.result()).seen == "split"


async def scheduled(handle: WorkflowHandle[Any, Any], kind: int) -> None:
    deadline = time.monotonic() + 60
    while kind not in await events(handle):
        assert time.monotonic() < deadline, f"no event {kind}"


async def test_every_log_line_names_its_run_activity_and_correlation(
    installation: Installation, worker: Workers
) -> None:
    running = worker(installation)
    (installation.folder / "told.release").touch()
    with correlated("from-the-caller-1"):
        handle = await started(installation, "told")
    await handle.result()
    told = {line["event"]: line for line in running.said()}
    for event in ("asks to hold told", "holding told", "ours"):
        assert told[event]["workflow_id"] == handle.id
        assert told[event]["run_id"] == handle.result_run_id
        assert told[event]["correlation_id"] == "from-the-caller-1"
    assert told["ours"]["activity"] == told["holding told"]["activity"] == "hold"


async def test_a_workflow_type_that_nobody_has_registered_is_refused_at_once(
    installation: Installation, worker: Workers
) -> None:
    worker(installation)
    client = await installation.wiring.client(installation.pool)
    handle = await client.start_workflow(
        "Nonsense", id=f"nonsense/{uuid.uuid4()}", task_queue=installation.pool
    )
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == "UnknownWorkflowType"


async def test_while_temporal_is_away_it_is_alive_not_ready_and_then_ready_again(
    tmp_path: Path, worker: Workers
) -> None:
    server = temporal(tmp_path, free_port(), free_port())
    await asyncio.to_thread(start_temporal, server)
    try:
        made = install(tmp_path, server.address)
        running = await asyncio.to_thread(worker, made)
        server.child.kill()
        await until(lambda: failing(running) == {"temporal default"}, "not ready, and why")
        assert running.ask("/livez")[0] == 200
        await asyncio.to_thread(start_temporal, server)
        await until(running.ready, "ready again")
        (made.folder / "after.release").touch()
        assert (await (await started(made, "after")).result()).seen == "after"
    finally:
        server.child.kill()


async def test_it_is_not_ready_while_the_records_can_not_be_written(
    installation: Installation, worker: Workers
) -> None:
    running = await asyncio.to_thread(worker, installation)
    with installation.wiring.engine().connect() as other:
        other.exec_driver_sql("ROLLBACK")
        other.exec_driver_sql("BEGIN EXCLUSIVE")
        await until(lambda: failing(running) == {"records"}, "not ready, and why")
        other.exec_driver_sql("ROLLBACK")
    await until(running.ready, "ready again")


async def test_metrics_of_temporal_and_of_ours_are_scraped_from_one_port(
    installation: Installation, worker: Workers
) -> None:
    port = free_port()
    worker(installation, metrics_port=port)
    (installation.folder / "measured.release").touch()
    await (await started(installation, "measured")).result()

    await until(lambda: "temporal_activity_execution_latency" in scraped(port), "an activity was measured")
    text = scraped(port)
    assert f'redoubt_pool_up{{pool="{installation.pool}"' in text
    assert "redoubt_worker_start_seconds" in text
    assert "redoubt_worker_peak_rss_bytes" in text


async def test_a_token_fixes_the_slots_at_the_settings_number(
    installation: Installation, worker: Workers, softhsm: Token
) -> None:
    """The SDK tells how many slots are left only where their number is fixed."""
    left = re.compile(r'temporal_worker_task_slots_available{[^}]*worker_type="ActivityWorker"[^}]*} (\d+)')
    other, port = free_port(), free_port()
    worker(installation, name="without", max_activities=7, metrics_port=other)
    installation.document["key_stores"]["hsm"] = {
        "kind": "pkcs11",
        "module": str(softhsm.module),
        "token": softhsm.label,
        "pin": softhsm.pin_ref,
    }
    worker(installation, name="with", max_activities=7, metrics_port=port)
    await until(lambda: left.findall(scraped(port)) == ["7"], "seven slots, and all are left")
    await until(lambda: "temporal_worker_task_slots_used" in scraped(other), "slots")
    assert not left.search(scraped(other))


async def test_a_versioned_pool_gets_no_run_until_its_build_is_promoted(
    installation: Installation, worker: Workers
) -> None:
    client = await installation.wiring.client(installation.pool)
    deployment = f"tiny-{uuid.uuid4().hex[:8]}"
    worker(installation, deployment=deployment, build_id="build-1")
    (installation.folder / "versioned.release").touch()
    deadline = time.monotonic() + 60
    while not any(
        one.version == f"{deployment}:build-1"
        for one in (await pollers(client, installation.pool))["workflows"]
    ):
        assert time.monotonic() < deadline
    handle = await started(installation, "versioned")
    assert not (installation.folder / "versioned.started").exists()
    assert await promote(client, deployment, "build-1") == ""
    assert (await handle.result()).seen == "versioned"

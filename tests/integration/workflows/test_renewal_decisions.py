"""What a renewal decides, on a server that skips time: issuers in turn, waves, undo, grace of thirty days.

The activities are stand-ins here; what they really do is shown by the acceptance tests on real servers.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import repeat
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from clients.temporal.codec import RedoubtCodec
from clients.temporal.plugin import RedoubtPlugin
from clients.tools import find
from rules.patience import REFUSED_PATIENCE_S
from schemas.certificates import CertificateRenewalInput, CertificateRenewalResult
from schemas.errors import (
    CaUnavailable,
    DependencyOpen,
    NotAuthorized,
    OrderLost,
    ReloadFailed,
    TargetUnreachable,
    VerificationFailed,
)
from schemas.principals import Act
from schemas.runs import SEARCH_ATTRIBUTES, RunStatus, Steer, Steered
from tests.integration.workflows.stand_ins import TARGETS, BehindBreaker, StandIns, plan
from tests.replay.ring import TestOnlyRing
from workflows.certificates.renewal import ROUNDS, CertificateRenewal
from workflows.failures import code_of, words_of

QUEUE = "decisions"
GRACE_S = 30 * 86_400.0


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    path = str(find("temporal-test-server"))
    plugin = RedoubtPlugin(RedoubtCodec(TestOnlyRing()))
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=path, test_server_startup_timeout=timedelta(seconds=60), plugins=[plugin]
    ) as started:
        keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        await started.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=started.client.namespace,
                search_attributes=dict.fromkeys(SEARCH_ATTRIBUTES, keyword),
            )
        )
        yield started


def _worker(server: WorkflowEnvironment, acts: StandIns) -> Worker:
    return Worker(
        server.client, task_queue=QUEUE, workflows=[CertificateRenewal], activities=acts.activities()
    )


async def _start(
    server: WorkflowEnvironment, *, skip_grace: bool = False
) -> WorkflowHandle[Any, CertificateRenewalResult]:
    return await server.client.start_workflow(
        CertificateRenewal.run,
        CertificateRenewalInput(certificate="www", force=True, skip_grace=skip_grace),
        id="certificate-renewal/www",
        task_queue=QUEUE,
    )


async def _renew(server: WorkflowEnvironment, acts: StandIns) -> CertificateRenewalResult:
    async with _worker(server, acts):
        return await (await _start(server)).result()


async def _fails(server: WorkflowEnvironment, acts: StandIns) -> WorkflowFailureError:
    with pytest.raises(WorkflowFailureError) as failed:
        await _renew(server, acts)
    return failed.value


def _after(asked: list[str], earlier: str, later: str) -> bool:
    return asked.index(earlier) < asked.index(later)


async def test_nothing_is_switched_before_everything_is_staged_and_waves_follow_each_other(
    server: WorkflowEnvironment,
) -> None:
    acts = StandIns(plan())
    result = await _renew(server, acts)
    assert result.issuer == "one"
    assert set(result.fingerprints) == set(TARGETS)
    assert all(_after(acts.asked, f"stage/{name}", "switch/web-1") for name in TARGETS)
    assert all(_after(acts.asked, "verify/web-1", f"switch/{name}") for name in ("web-2", "web-3"))
    assert acts.asked[-1] == "close/renewed"
    assert not any(step.startswith(("undo/", "restore/")) for step in acts.asked)


async def test_the_next_issuer_is_asked_when_the_first_stays_away(server: WorkflowEnvironment) -> None:
    acts = StandIns(plan(), {"order/one": repeat(CaUnavailable("one is down."))})
    assert (await _renew(server, acts)).issuer == "two"
    assert "order/two" in acts.asked


async def test_an_outage_of_a_minute_behind_an_open_breaker_ends_well_however_short_the_patience(
    server: WorkflowEnvironment,
) -> None:
    acts = BehindBreaker(plan(issuers=("one",)))
    assert (await _renew(server, acts)).issuer == "one"
    assert acts.counted["order/one"] == 1
    assert acts.refused


async def test_the_next_issuer_is_asked_when_the_first_is_left_alone_for_longer_than_patience(
    server: WorkflowEnvironment,
) -> None:
    acts = StandIns(plan(), {"order/one": repeat(DependencyOpen("one is left alone.", retry_after_s=60))})
    assert (await _renew(server, acts)).issuer == "two"
    assert acts.counted["order/one"] == 1 + math.ceil(REFUSED_PATIENCE_S / 60)


async def test_a_lost_order_is_placed_anew_three_times_and_then_the_next_issuer_is_asked(
    server: WorkflowEnvironment,
) -> None:
    acts = StandIns(plan(), {"order/one": repeat(OrderLost("one has lost it."))})
    assert (await _renew(server, acts)).issuer == "two"
    assert acts.counted["order/one"] == 3


async def test_when_no_issuer_can_nothing_is_touched_and_the_run_says_why(
    server: WorkflowEnvironment,
) -> None:
    down = {f"order/{name}": repeat(CaUnavailable(f"{name} is down.")) for name in ("one", "two")}
    acts = StandIns(plan(), down)
    failed = await _fails(server, acts)
    assert code_of(failed) == "CaUnavailable"
    assert "two is down" in words_of(failed)
    assert not any(step.startswith(("stage/", "switch/", "restore/")) for step in acts.asked)
    assert acts.asked[-1] == "close/undone"


@pytest.mark.parametrize(
    ("step", "error", "restored"),
    [
        ("stage/web-3", TargetUnreachable("its disk is full."), ()),
        ("switch/web-1", ReloadFailed("web-1 refused it."), ("web-1",)),
        ("verify/web-3", VerificationFailed("web-3 serves the old one."), TARGETS),
    ],
)
async def test_a_target_that_fails_takes_back_exactly_what_was_switched(
    server: WorkflowEnvironment, step: str, error: Any, restored: tuple[str, ...]
) -> None:
    acts = StandIns(plan(), {step: repeat(error)})
    failed = await _fails(server, acts)
    assert code_of(failed) == error.code
    assert {step for step in acts.asked if step.startswith("restore/")} == {
        f"restore/{name}" for name in restored
    }
    assert acts.asked[-1] == "close/undone"


async def test_a_target_that_resists_is_tried_for_an_hour_and_the_others_are_back_meanwhile(
    server: WorkflowEnvironment,
) -> None:
    acts = StandIns(
        plan(),
        {
            "verify/web-3": repeat(VerificationFailed("it serves the old one.")),
            "restore/web-2": repeat(ReloadFailed("web-2 refuses.")),
        },
    )
    failed = await _fails(server, acts)
    assert code_of(failed) == "UndoIncomplete"
    assert "web-2 still has to be put back" in words_of(failed)
    assert acts.counted["restore/web-2"] > 50
    assert acts.counted["restore/web-1"] == acts.counted["restore/web-3"] == 1
    # The operation stays open, so that the next run goes on with it.
    assert not any(step.startswith("close/") for step in acts.asked)


async def test_what_an_ended_run_had_begun_to_undo_is_undone_and_never_goes_forward(
    server: WorkflowEnvironment,
) -> None:
    acts = StandIns(plan(undoing=True), asked=["switch/web-1"])
    failed = await _fails(server, acts)
    assert code_of(failed) == "Aborted"
    assert acts.asked[1:] == ["plan/www", "undo/op-1", "restore/web-1", "close/undone"]


async def test_a_failing_clean_up_puts_nothing_back(server: WorkflowEnvironment) -> None:
    acts = StandIns(plan(undo_patience_s=1.0), {"close/renewed": repeat(TargetUnreachable("no tidying."))})
    await _fails(server, acts)
    assert not any(step.startswith(("undo/", "restore/")) for step in acts.asked)


async def test_the_grace_of_thirty_days_passes_and_then_the_operation_is_closed(
    server: WorkflowEnvironment,
) -> None:
    acts = StandIns(plan(grace_s=GRACE_S))
    before = await server.get_current_time()
    await _renew(server, acts)
    assert (await server.get_current_time() - before).total_seconds() >= GRACE_S
    assert acts.asked[-1] == "close/renewed"


async def _phase(handle: WorkflowHandle[Any, Any], phase: str) -> RunStatus:
    deadline = asyncio.get_running_loop().time() + 30
    while True:
        status = await handle.query(CertificateRenewal.status)
        if status.phase == phase:
            return status
        assert asyncio.get_running_loop().time() < deadline, f"it stays in {status.phase}"


async def test_an_abort_in_the_grace_puts_everything_back(server: WorkflowEnvironment) -> None:
    acts = StandIns(plan(grace_s=GRACE_S))
    async with _worker(server, acts):
        handle = await _start(server)
        status = await _phase(handle, "grace")
        assert {row["state"] for row in status.table} == {"verified"}
        await handle.execute_update("abort", Steer(reason="a complaint"), result_type=Steered)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert code_of(failed.value) == "Aborted"
    assert (
        acts.counted["restore/web-1"] == acts.counted["restore/web-2"] == acts.counted["restore/web-3"] == 1
    )


async def test_a_grace_that_is_ended_early_ends_well_and_retires_nothing(server: WorkflowEnvironment) -> None:
    acts = StandIns(plan(grace_s=GRACE_S, revoke_previous=True, destroy_keys=True))
    async with _worker(server, acts):
        with server.auto_time_skipping_disabled():  # so that no grace can end by itself
            handle = await _start(server)
            await _phase(handle, "grace")
            await handle.execute_update(
                "end-grace", Steer(reason="the new one was revoked"), result_type=Steered
            )
            result = await handle.result()
    assert result.outcome == "renewed"
    (kept,) = result.retired
    assert "what was replaced stays: the new one was revoked" in kept
    assert acts.asked[-1] == "close/renewed"
    assert not any(step.startswith(("undo/", "restore/")) for step in acts.asked)


async def test_what_a_run_had_left_with_a_grace_goes_on_without_where_it_is_to_be_skipped(
    server: WorkflowEnvironment,
) -> None:
    acts = StandIns(plan(grace_s=GRACE_S))
    async with _worker(server, acts):
        with server.auto_time_skipping_disabled():  # so that no grace can end by itself
            result = await (await _start(server, skip_grace=True)).result()
    assert result.outcome == "renewed"


async def test_a_cancelled_run_puts_everything_back_and_ends_as_cancelled(
    server: WorkflowEnvironment,
) -> None:
    acts = StandIns(plan(grace_s=GRACE_S))
    async with _worker(server, acts):
        handle = await _start(server)
        await _phase(handle, "grace")
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert type(failed.value.cause).__name__ == "CancelledError"
    assert acts.asked[-1] == "close/undone"


@pytest.mark.parametrize("step", ["plan", "key", "order"])
async def test_a_cancel_is_not_lost_where_the_step_at_hand_still_succeeds(
    server: WorkflowEnvironment, step: str
) -> None:
    """The step has gone too far to hear of it: its result counts, and nothing new begins."""
    acts = StandIns(plan(), holds=step)
    async with _worker(server, acts):
        handle = await _start(server)
        await acts.holding.wait()
        await handle.cancel()
        await _cancel_requested(handle)
        acts.go.set()
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
    assert type(failed.value.cause).__name__ == "CancelledError"
    assert acts.asked[-1] == "close/undone"
    assert not [one for one in acts.asked if one.startswith(("stage/", "switch/"))]


async def _cancel_requested(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until the run has taken note, and asked its step to end."""
    while True:
        async for event in handle.fetch_history_events():
            if event.HasField("activity_task_cancel_requested_event_attributes"):
                return
        await asyncio.sleep(0.02)


async def test_cancelling_again_does_not_stop_the_undo(server: WorkflowEnvironment) -> None:
    acts = StandIns(plan(grace_s=GRACE_S), {"restore/web-1": iter([ReloadFailed("not yet.")] * 3)})
    async with _worker(server, acts):
        handle = await _start(server)
        await _phase(handle, "grace")
        await handle.cancel()
        await _phase(handle, "putting back")
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert acts.counted["restore/web-1"] == 4
    assert acts.asked[-1] == "close/undone"


async def test_what_its_records_do_not_show_is_no_reason_to_go_back_but_to_go_forward_again(
    server: WorkflowEnvironment,
) -> None:
    """As if somebody had completed the step for it: its own activity knows of no failure."""
    fails = {"verify/web-2": iter([VerificationFailed("forged")]), "undo/op-1": iter([NotAuthorized("no")])}
    acts = StandIns(plan(target_patience_s=0), fails=fails)
    assert (await _renew(server, acts)).outcome == "renewed"
    assert acts.counted["undo/op-1"] == 1
    assert not [step for step in acts.asked if step.startswith("restore/")]


async def test_a_run_that_may_not_go_back_ends_with_its_operation_left_open(
    server: WorkflowEnvironment,
) -> None:
    fails = {
        "verify/web-2": repeat(VerificationFailed("forged")),
        "undo/op-1": repeat(NotAuthorized("no")),
    }
    acts = StandIns(plan(target_patience_s=0), fails=fails)
    assert code_of(await _fails(server, acts)) == "VerificationFailed"
    assert acts.counted["undo/op-1"] == ROUNDS
    assert not [step for step in acts.asked if step.startswith(("restore/", "close/"))]


async def test_a_cancel_by_who_may_not_abort_is_not_followed(server: WorkflowEnvironment) -> None:
    acts = StandIns(plan(grace_s=GRACE_S), fails={"undo/op-1": iter([NotAuthorized("no")])})
    async with _worker(server, acts):
        handle = await _start(server)
        await _phase(handle, "grace")
        began = await server.get_current_time()
        await handle.cancel()
        assert (await handle.result()).outcome == "renewed"
        closed = (await handle.describe()).close_time  # the server's own time may have gone on since
    assert closed is not None
    assert (closed - began).total_seconds() < GRACE_S + 600
    assert acts.counted["undo/op-1"] == 1


async def test_an_abort_goes_with_the_undo_that_it_causes(server: WorkflowEnvironment) -> None:
    acts = StandIns(plan(grace_s=GRACE_S))
    async with _worker(server, acts):
        handle = await _start(server)
        await _phase(handle, "grace")
        await handle.execute_update("abort", Steer(reason="a complaint"), result_type=Steered)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert acts.word is not None
    assert (acts.word.told.act, acts.word.told.steer.reason) == (Act.ABORT, "a complaint")

"""Runs that are ended, turned round or held in the middle of a wave: nothing stays half-switched or is ordered twice.

Each case is held while its second target reloads, when its first one serves the new certificate already.
"""

import uuid
from collections.abc import Callable

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle

from cli.demo.oracle import CaCounts
from schemas.certificates import CertificateRenewalResult
from tests.acceptance.cases import HOLD, ONE_ATTEMPT, Cases, assert_no_secret, assert_told, ended
from tests.acceptance.fleet import Fleet

WAYS = ("terminated", "cancelled", "aborted", "paused", "reset", "undoing")
FAIL_THEN_HOLD = f'if [ ! -e "$1.failed" ]; then touch "$1.failed"; exit 1; fi; {HOLD}'


async def test_a_run_that_is_interrupted_in_the_middle_of_a_wave(fleets: Callable[..., Fleet]) -> None:
    fleet = fleets()
    cases = Cases(fleet)
    cases.build({case: {} for case in WAYS} | {"undoing": ONE_ATTEMPT})
    fleet.worker()
    before, client = await cases.issue_first(), await cases.client()
    counted = fleet.counts()
    for case in WAYS:
        cases.on_reload(f"{case}-b", FAIL_THEN_HOLD if case == "undoing" else HOLD)
    runs = {case: await cases.start(case) for case in WAYS}
    for case in WAYS:
        cases.wait_until_held(f"{case}-b")
    for case in WAYS[:-1]:
        first, second = cases.shown(case)
        assert (first == before[case][0], second == before[case][1]) == (False, True), case

    for case in ("terminated", "undoing"):
        await runs[case].terminate("by a person")
        runs[case] = await cases.start(case)
    await runs["cancelled"].cancel()
    runs["reset"] = await _reset(client, runs["reset"].id)
    aborted = fleet.redoubt("abort", "certificate-renewal/aborted", "--reason", "enough")
    assert aborted.code == 0, aborted.err
    paused = fleet.redoubt("pause", "certificate-renewal/paused", "--reason", "lunch", "-o", "json")
    assert paused.json["paused"], paused.err
    again = fleet.redoubt("pause", "certificate-renewal/paused", "--reason", "lunch")
    assert (again.code, "This run can't pause now: switching" in again.err) == (1, True), again.err
    for case in WAYS:
        cases.let_go(f"{case}-b")

    ends = {case: await ended(runs[case]) for case in WAYS if case != "paused"}
    for case in ("terminated", "reset"):
        assert not ends[case].code, (case, ends[case])
        assert not {*cases.shown(case)} & {*before[case], ""}, case
    assert ends["cancelled"].code == "CancelledError"
    assert_told(ends["aborted"], "Aborted", "enough")
    assert_told(ends["undoing"], "Aborted", "What an earlier run had left was put back")
    for case in ("cancelled", "aborted", "undoing"):
        assert cases.shown(case) == before[case], case

    shown = fleet.redoubt("status", "certificate-renewal/paused", "-o", "json").json
    assert (shown["state"], shown["paused"], shown["waits_for"]) == (
        "RUNNING",
        True,
        "someone to resume or abort it",
    )
    resumed = fleet.redoubt("resume", "certificate-renewal/paused", "--reason", "back")
    assert resumed.code == 0, resumed.err
    assert not (await ended(runs["paused"])).code
    assert not {*cases.shown("paused")} & {*before["paused"], ""}
    issued = 2 * len(WAYS)
    assert fleet.counts() - counted == CaCounts(issued, issued, issued)
    await assert_no_secret(cases)


async def _reset(client: Client, workflow_id: str) -> WorkflowHandle[object, CertificateRenewalResult]:
    """To before its first step, as the Web UI does."""
    handle = client.get_workflow_handle(workflow_id)
    events = (await handle.fetch_history()).events
    first = next(one for one in events if one.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED)
    request = ResetWorkflowExecutionRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        reason="by a person",
        workflow_task_finish_event_id=first.event_id,
        request_id=str(uuid.uuid4()),
    )
    answer = await client.workflow_service.reset_workflow_execution(request)
    return client.get_workflow_handle(workflow_id, run_id=answer.run_id, result_type=CertificateRenewalResult)

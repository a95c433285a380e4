"""What a revocation decides, on a server that skips time: approval, replacement first, and when nothing is revoked.

The activities are stand-ins, the replacement is the real workflow over stand-ins of its own.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import repeat
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import (
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowUpdateFailedError,
)
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from schemas.approvals import Approval, ApprovalAsk, Tally, Verdict
from schemas.certificates import CertificateRenewalInput, CertificateRenewalResult, Done, EndGrace
from schemas.errors import CaRefused, NotAuthorized, RedoubtError, ReloadFailed, StillServed
from schemas.revocations import (
    CertificateRevocationInput,
    CertificateRevocationResult,
    RevocationPlan,
    RevocationReason,
    RevocationStep,
    Served,
    ToRevoke,
)
from schemas.runs import RunStatus, Steer, Steered, Word
from tests.integration.workflows.stand_ins import NEW, TARGETS, StandIns, plan
from tests.integration.workflows.test_approving import Panel
from tests.integration.workflows.test_renewal_decisions import server
from tests.unit.approvals.making import rule, vote
from workflows.certificates.renewal import CertificateRenewal
from workflows.certificates.revocation import CertificateRevocation
from workflows.failures import code_of, words_of

__all__ = ["server"]

QUEUE = "revoking"
OLD = "c" * 64
DAY_S = 86_400.0

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Revoking:
    """Stands for the activities; `refuses` is what the CA's step answers every time."""

    replace: bool = True
    needs_approval: bool = False
    served: tuple[str, ...] = TARGETS
    doomed_until: int = 1
    """So many renewals must end before the targets hold another."""
    renewed: Callable[[], int] = lambda: 0
    refuses: RedoubtError | None = None
    keeps_open: RedoubtError | None = None
    """What the records answer to whoever closes it as failed."""
    asked: list[str] = field(default_factory=list)
    word: Word | None = None
    """The abort that came with its closing."""

    def activities(self) -> list[Callable[..., Any]]:
        return [self.plan_revocation, self.end_grace, self.still_served, self.revoke, self.close_revocation]

    @activity.defn
    async def plan_revocation(self, given: CertificateRevocationInput) -> RevocationPlan:
        self.asked.append("plan")
        one = ToRevoke(fingerprint=OLD, serial="1", issuer="one", not_after=NEW.not_after)
        return RevocationPlan(
            operation="op-9",
            certificate=given.certificate,
            reason=given.reason,
            certificates=(one,),
            replace=self.replace,
            needs_approval=self.needs_approval,
        )

    @activity.defn
    async def end_grace(self, asked: EndGrace) -> Done:
        """As the real one: told to end its grace, the renewal that runs is waited for."""
        running = activity.client().get_workflow_handle(f"certificate-renewal/{asked.certificate}")
        with contextlib.suppress(RPCError, WorkflowUpdateFailedError):
            await running.execute_update("end-grace", Steer(reason="a test"), result_type=Steered)
        with contextlib.suppress(RPCError, WorkflowFailureError):
            while (await running.describe()).status is WorkflowExecutionStatus.RUNNING:
                activity.heartbeat()
                await asyncio.sleep(0.05)
        return Done()

    @activity.defn
    async def still_served(self, step: RevocationStep) -> Served:  # noqa: ARG002 - the activity's signature
        self.asked.append("look")
        served = self.served if self.renewed() < self.doomed_until else ()
        return Served(targets=dict.fromkeys(served, OLD))

    @activity.defn
    async def revoke(self, step: RevocationStep) -> Done:
        self.asked.append(f"revoke/{step.fingerprint}")
        if self.refuses is not None:
            raise self.refuses
        return Done()

    @activity.defn
    async def close_revocation(self, step: RevocationStep) -> Done:
        self.asked.append(f"close/{step.outcome}")
        self.word = step.word
        if step.outcome == "failed" and self.keeps_open is not None:
            raise self.keeps_open
        return Done()


class Records(Panel):
    """Asks anew only once what was asked has expired, as the records do."""

    requests: int = 0
    expired: bool = False
    """What was asked has, whatever its time says."""

    @activity.defn
    async def request_approval(self, ask: ApprovalAsk) -> Approval:
        at: datetime = await self.now()
        if self.about is not None and at < self.about.expires and not self.expired:
            return self._approval(at)
        self.requests += 1
        self.expired = False
        return await Panel.request_approval(self, ask)


@dataclass
class Here:
    """A revocation that runs, with what it and its replacement have asked for."""

    run: WorkflowHandle[Any, CertificateRevocationResult]
    acts: Revoking
    renewing: StandIns
    environment: WorkflowEnvironment

    async def fails(self, words: str = "") -> str | None:
        with pytest.raises(WorkflowFailureError) as failed:
            await self.run.result()
        assert words in words_of(failed.value)
        return code_of(failed.value)

    async def approval(self, after: str = "") -> Approval:
        """The request that holds, other than the one with the digest `after`."""
        while True:
            given = await self.run.query("approval", result_type=dict[str, Any])
            if given and given["digest"] != after:
                return Approval.model_validate(given)
            await self.environment.sleep(timedelta(seconds=1))

    async def told(self, name: str, about: Approval, verdict: Verdict = Verdict.APPROVE) -> None:
        await self.run.execute_update(verdict.value, vote(about.request, name, verdict), result_type=Tally)


Begin = Callable[..., Any]


async def _start(server: WorkflowEnvironment) -> WorkflowHandle[Any, CertificateRevocationResult]:
    given = CertificateRevocationInput(certificate="www", reason=RevocationReason.KEY_COMPROMISE)
    return await server.client.start_workflow(
        CertificateRevocation.run, given, id="certificate-revocation/www", task_queue=QUEUE
    )


@pytest_asyncio.fixture(loop_scope="module")
async def begin(server: WorkflowEnvironment) -> AsyncIterator[Begin]:
    workers: list[Worker] = []

    async def started(acts: Revoking, renewing: StandIns, panel: Panel | None = None) -> Here:
        panels: list[Callable[..., Any]] = []
        if panel is not None:
            panels = [panel.request_approval, panel.cast_vote, panel.count_approval]
        worker = Worker(
            server.client,
            task_queue=QUEUE,
            workflows=[CertificateRevocation, CertificateRenewal],
            activities=[*acts.activities(), *renewing.activities(), *panels],
        )
        acts.renewed = lambda: renewing.counted["close/renewed"]
        await worker.__aenter__()
        workers.append(worker)
        return Here(await _start(server), acts, renewing, server)

    yield started
    for worker in workers:
        await worker.__aexit__(None, None, None)


async def test_it_is_revoked_once_every_target_serves_another(begin: Begin) -> None:
    here = await begin(Revoking(), StandIns(plan()))
    result = await here.run.result()
    assert result.revoked == (OLD,)
    assert result.replaced_by == dict.fromkeys(TARGETS, NEW.fingerprint)
    assert here.renewing.asked[-1] == "close/renewed"
    assert here.acts.asked == ["plan", "look", "look", f"revoke/{OLD}", "close/revoked"]


async def test_nothing_is_replaced_where_no_target_holds_it(begin: Begin) -> None:
    here = await begin(Revoking(served=()), StandIns(plan()))
    assert (await here.run.result()).replaced_by == {}
    assert here.renewing.asked == []


async def test_without_a_replacement_what_is_served_is_revoked(begin: Begin) -> None:
    here = await begin(Revoking(replace=False), StandIns(plan()))
    assert (await here.run.result()).revoked == (OLD,)
    assert here.renewing.asked == []
    assert "look" not in here.acts.asked


async def test_if_the_replacement_fails_nothing_is_revoked(begin: Begin) -> None:
    fails = {"switch/web-2": repeat(ReloadFailed("web-2 does not reload."))}
    here = await begin(Revoking(), StandIns(plan(), fails))
    assert await here.fails() == ReloadFailed.code
    assert here.acts.asked == ["plan", "look", "close/failed"]


async def test_what_is_still_served_is_not_revoked_and_it_is_closed_as_failed(begin: Begin) -> None:
    here = await begin(Revoking(refuses=StillServed("web-1 still holds it.")), StandIns(plan()))
    assert await here.fails() == StillServed.code
    assert here.acts.asked[-1] == "close/failed"


async def test_what_must_not_be_forgotten_stays_open_and_the_next_run_goes_on_with_it(
    begin: Begin, server: WorkflowEnvironment
) -> None:
    acts = Revoking(refuses=CaRefused("No."), keeps_open=NotAuthorized("It has been replaced."))
    here = await begin(acts, StandIns(plan()))
    goes_on = "It stays open: It has been replaced. Start it again, and it goes on with what it was to revoke"
    assert await here.fails(words=goes_on) == CaRefused.code
    acts.refuses = None
    assert (await (await _start(server)).result()).revoked == (OLD,)
    assert acts.asked[-4:] == ["plan", "look", f"revoke/{OLD}", "close/revoked"]


async def _other(server: WorkflowEnvironment) -> WorkflowHandle[Any, CertificateRenewalResult]:
    return await server.client.start_workflow(
        CertificateRenewal.run,
        CertificateRenewalInput(certificate="www", force=True),
        id="certificate-renewal/www",
        task_queue=QUEUE,
    )


async def _phase(here: Here, phase: str) -> None:
    while (await here.run.query("status", result_type=RunStatus)).phase != phase:  # noqa: ASYNC110 - a server's answer
        await asyncio.sleep(0.02)


async def test_the_grace_of_a_renewal_that_brought_the_doomed_one_is_ended(
    begin: Begin, server: WorkflowEnvironment
) -> None:
    renewing = StandIns(plan(grace_s=30 * DAY_S))
    with server.auto_time_skipping_disabled():  # so that no grace can end by itself
        other = await _other(server)
        here = await begin(Revoking(doomed_until=2), renewing)
        assert (await here.run.result()).revoked == (OLD,)
        assert "The grace was ended early" in (await other.result()).retired[0]
    assert renewing.counted["close/renewed"] == 2


async def test_a_renewal_that_is_paused_is_waited_for_by_one_step_however_long_it_takes(
    begin: Begin, server: WorkflowEnvironment
) -> None:
    renewing = StandIns(plan(), holds="key")
    other = await _other(server)
    here = await begin(Revoking(doomed_until=2), renewing)
    await renewing.holding.wait()
    await other.execute_update("pause", Steer(reason="a freeze"), result_type=Steered)
    renewing.go.set()
    await _phase(here, "making way")
    await other.execute_update("resume", Steer(reason="enough"), result_type=Steered)
    assert (await here.run.result()).revoked == (OLD,)
    events = [event async for event in here.run.fetch_history_events()]
    steps = [event.activity_task_scheduled_event_attributes.activity_type.name for event in events]
    assert steps.count("end_grace") == 1
    assert not any(event.HasField("timer_started_event_attributes") for event in events)


async def test_an_abort_is_heard_while_a_renewal_is_waited_for(
    begin: Begin, server: WorkflowEnvironment
) -> None:
    renewing = StandIns(plan(), holds="key")
    other = await _other(server)
    here = await begin(Revoking(), renewing)
    await renewing.holding.wait()
    await _phase(here, "making way")
    await here.run.execute_update("abort", Steer(reason="not now"), result_type=Steered)
    assert await here.fails() == "Aborted"
    assert here.acts.asked[-1] == "close/failed"
    renewing.go.set()
    await other.result()


async def test_one_that_was_terminated_is_gone_on_with(begin: Begin, server: WorkflowEnvironment) -> None:
    acts = Revoking(needs_approval=True)
    here = await begin(acts, StandIns(plan()), Records(rule(("anna", "ben")), server.get_current_time))
    await here.approval()
    await here.run.terminate("gone")
    acts.needs_approval = False
    again = await _start(server)
    assert (await again.result()).operation == "op-9"
    assert here.acts.asked == ["plan", "plan", "look", "look", f"revoke/{OLD}", "close/revoked"]


async def test_nothing_is_replaced_before_enough_have_approved(
    begin: Begin, server: WorkflowEnvironment
) -> None:
    panel = Records(rule(("anna", "ben")), server.get_current_time)
    here = await begin(Revoking(needs_approval=True), StandIns(plan()), panel)
    about = await here.approval()
    await here.told("anna", about)
    assert (here.acts.asked, here.renewing.asked) == (["plan"], [])
    await here.told("ben", about)
    assert (await here.run.result()).revoked == (OLD,)
    assert panel.requests == 1


async def test_an_approval_that_expired_while_it_was_replaced_is_asked_for_anew(
    begin: Begin, server: WorkflowEnvironment
) -> None:
    panel = Records(rule(("anna",), needed=1, hours=48), server.get_current_time)
    replacing = StandIns(plan(), holds="key")
    here = await begin(Revoking(needs_approval=True), replacing, panel)
    first = await here.approval()
    await here.told("anna", first)
    await replacing.holding.wait()
    panel.expired = True
    replacing.go.set()
    second = await here.approval(after=first.digest)
    assert here.acts.asked == ["plan", "look"], "not even looked at"
    await here.told("anna", second)
    assert (await here.run.result()).revoked == (OLD,)


async def test_a_rejection_ends_it_before_anything_is_replaced(
    begin: Begin, server: WorkflowEnvironment
) -> None:
    panel = Records(rule(("anna", "ben")), server.get_current_time)
    here = await begin(Revoking(needs_approval=True), StandIns(plan()), panel)
    await here.told("anna", await here.approval(), Verdict.REJECT)
    assert await here.fails() == "ApprovalRefused"
    assert (here.acts.asked, here.renewing.asked) == (["plan", "close/failed"], [])


async def test_aborted_before_the_ca_was_asked_it_revokes_nothing(
    begin: Begin, server: WorkflowEnvironment
) -> None:
    panel = Records(rule(("anna", "ben")), server.get_current_time)
    here = await begin(Revoking(needs_approval=True), StandIns(plan()), panel)
    await here.approval()
    await here.run.execute_update("abort", Steer(reason="not now"), result_type=Steered)
    assert await here.fails() == "Aborted"
    assert here.acts.asked == ["plan", "close/failed"]
    assert here.acts.word is not None
    assert here.acts.word.told.steer.reason == "not now"

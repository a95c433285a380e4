"""How a renewal waits for approval, on a server that skips time: who is asked when, and how the wait ends."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from rules.approvals import digest, tally
from schemas.approvals import (
    Approval,
    ApprovalAsk,
    ApprovalRequest,
    Ballot,
    Cast,
    State,
    Tally,
    Verdict,
    Vote,
)
from schemas.certificates import CertificateRenewalInput
from schemas.policies import ApprovalRule
from schemas.runs import RunStatus, Steer, Steered
from tests.integration.workflows.stand_ins import StandIns, plan
from tests.integration.workflows.test_renewal_decisions import server
from tests.unit.approvals.making import request, rule, vote
from workflows.certificates.renewal import CertificateRenewal
from workflows.failures import code_of, words_of

__all__ = ["server"]

QUEUE = "approving"
ID = "certificate-renewal/www"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Panel:
    """Stands for the activities: counts by the rule, on the server's clock."""

    asks: ApprovalRule
    now: Callable[[], Any]
    casts: list[Cast] = field(default_factory=list)
    about: ApprovalRequest | None = None

    @activity.defn
    async def request_approval(self, ask: ApprovalAsk) -> Approval:
        at = await self.now()
        base = request(self.asks, operation=ask.operation)
        expires = at + timedelta(seconds=self.asks.expires_s)
        self.about = base.model_copy(update={"asked_at": at, "expires": expires})
        return self._approval(at)

    @activity.defn
    async def cast_vote(self, ballot: Ballot) -> Tally:
        at = await self.now()
        self.casts.append(Cast(number=len(self.casts) + 1, vote=ballot.vote, received=at))
        return self._approval(at).tally

    @activity.defn
    async def count_approval(self, ask: ApprovalAsk) -> Approval:  # noqa: ARG002 - the activity's signature
        return self._approval(await self.now())

    def _approval(self, at: datetime) -> Approval:
        assert self.about is not None
        return Approval(
            digest=digest(self.about), request=self.about, tally=tally(self.about, self.casts, at)
        )


@dataclass
class Waiting:
    """A renewal that waits, and the steps that it has asked for so far."""

    run: Any
    acts: StandIns
    environment: WorkflowEnvironment

    async def approval(self) -> Approval:
        """Asked for again until there is one; the run's first tasks come before it."""
        while not (given := await self.run.query("approval", result_type=dict[str, Any])):
            await self.environment.sleep(timedelta(seconds=1))
        return Approval.model_validate(given)

    async def status(self) -> RunStatus:
        status: RunStatus = await self.run.query("status", result_type=RunStatus)
        return status

    async def cast(self, one: Vote) -> Tally:
        told: Tally = await self.run.execute_update(one.verdict.value, one, result_type=Tally)
        return told

    async def fails(self) -> BaseException:
        with pytest.raises(WorkflowFailureError) as failed:
            await self.run.result()
        assert not [step for step in self.acts.asked if step.startswith(("key", "order", "switch"))]
        return failed.value


@pytest_asyncio.fixture(loop_scope="module")
async def waiting(server: WorkflowEnvironment) -> AsyncIterator[Callable[[ApprovalRule], Any]]:
    workers: list[Worker] = []

    async def begin(asks: ApprovalRule) -> Waiting:
        acts, panel = StandIns(plan(needs_approval=True)), Panel(asks, server.get_current_time)
        panels: list[Callable[..., Any]] = [panel.request_approval, panel.cast_vote, panel.count_approval]
        worker = Worker(
            server.client,
            task_queue=QUEUE,
            workflows=[CertificateRenewal],
            activities=[*acts.activities(), *panels],
        )
        await worker.__aenter__()
        workers.append(worker)
        given = CertificateRenewalInput(certificate="www", force=True)
        run = await server.client.start_workflow(CertificateRenewal.run, given, id=ID, task_queue=QUEUE)
        return Waiting(run, acts, server)

    yield begin
    for worker in workers:
        await worker.__aexit__(None, None, None)


async def test_enough_votes_let_it_go_on_and_the_story_says_who_is_missing(
    waiting: Callable[[ApprovalRule], Any],
) -> None:
    here = await waiting(rule(("anna", "ben", "cleo")))
    about = (await here.approval()).request
    before = await here.status()
    assert (before.phase, before.who_can_act) == (
        "approval",
        "approve, reject: anna, ben, cleo; operator: pause, abort",
    )
    await here.cast(vote(about, "anna"))
    half = await here.status()
    assert half.waits_for.startswith("1 of 2 approvals until ")
    assert half.waits_for.endswith(", after anna")
    assert not [step for step in here.acts.asked if step.startswith("key")]
    assert (await here.cast(vote(about, "ben"))).state is State.GRANTED
    assert (await here.run.result()).outcome == "renewed"


async def test_the_next_group_is_asked_on_a_timer(waiting: Callable[[ApprovalRule], Any]) -> None:
    here = await waiting(rule(("anna",), ("cleo",), needed=1))
    about = (await here.approval()).request
    with pytest.raises(WorkflowUpdateFailedError) as early:
        await here.cast(vote(about, "cleo"))
    assert "not among the approvers that are asked now" in words_of(early.value.cause)
    await here.environment.sleep(timedelta(hours=1, minutes=1))
    assert "anna, cleo" in (await here.status()).who_can_act
    await here.cast(vote(about, "cleo"))
    assert (await here.run.result()).outcome == "renewed"


async def test_it_ends_when_it_expires(waiting: Callable[[ApprovalRule], Any]) -> None:
    here = await waiting(rule(("anna", "ben"), ("cleo",), hours=48))
    failed = await here.fails()
    assert (code_of(failed), "0 of 2 had approved" in words_of(failed)) == ("ApprovalExpired", True)


async def test_it_ends_when_somebody_rejects(waiting: Callable[[ApprovalRule], Any]) -> None:
    here = await waiting(rule(("anna", "ben")))
    about = (await here.approval()).request
    await here.cast(vote(about, "anna", Verdict.REJECT))
    failed = await here.fails()
    assert (code_of(failed), "anna has rejected it" in words_of(failed)) == ("ApprovalRefused", True)


async def test_it_can_be_aborted_while_it_waits(waiting: Callable[[ApprovalRule], Any]) -> None:
    here = await waiting(rule(("anna", "ben")))
    await here.approval()
    await here.run.execute_update("abort", Steer(reason="not now"), result_type=Steered)
    assert code_of(await here.fails()) == "Aborted"


async def test_votes_that_are_none_are_refused_and_disturb_nothing(
    waiting: Callable[[ApprovalRule], Any],
) -> None:
    here = await waiting(rule(("anna", "ben"), needed=1))
    about = (await here.approval()).request
    yes = vote(about, "anna")
    for name, wrong in (
        ("reject", yes),
        ("approve", vote(about, "olga")),
        ("approve", vote(about, "sam")),
        ("approve", vote(request(about.rule, operation="op-2"), "anna")),
        ("approve", {"request": "no digest"}),
    ):
        with pytest.raises(WorkflowUpdateFailedError):
            await here.run.execute_update(name, wrong, result_type=Tally)
    await here.cast(yes)
    assert (await here.run.result()).outcome == "renewed"

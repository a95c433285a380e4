"""How the certificates' histories come about: the real workflows, over steps that answer what the scenario says.

What a history holds are the workflow's commands and what it was told, so the steps themselves need no world here. A
step that is lost answers nothing: its missing heartbeat is what a killed worker leaves in the history.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import Client

from rules.approvals import digest, tally
from schemas import errors
from schemas.approvals import (
    Approval,
    ApprovalAsk,
    ApprovalRequest,
    Ballot,
    Cast,
    Tally,
    Verdict,
    Vote,
)
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import (
    CertificateFacts,
    CertificateRenewalInput,
    CertificateSweepInput,
    Close,
    Done,
    Group,
    IssuedCertificate,
    RenewalPlan,
    StepInput,
    SweepDecision,
    SweepFindings,
    Undo,
    UndoPlan,
)
from schemas.policies import ApprovalRule, ApproverGroup
from schemas.principals import UNKNOWN, Principal, Shown
from schemas.runs import RunStatus, Steer, Steered, Told, Word
from tests.replay.handles import Handle, failed
from workflows.certificates.renewal import CertificateRenewal
from workflows.certificates.sweep import CertificateSweep

WORKFLOWS: tuple[type, ...] = (CertificateRenewal, CertificateSweep)

NEW, OLD = "b" * 64, "a" * 64
TARGETS = ("web-1", "web-2", "web-3")
AT = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True)
class Steps:
    """`refused`: step or step/target to the error that it raises; `lost`: steps whose first attempt never answers."""

    due: bool = True
    undoing: bool = False
    grace_s: float = 0.0
    approval: bool = False
    refused: dict[str, errors.RedoubtError] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()

    def __call__(self) -> Sequence[Callable[..., object]]:
        steps = (self.make_key, self.obtain_certificate)
        switching = (self.stage, self.switch, self.verify, self.restore, self.begin_undo, self.close_renewal)
        approving = (self.request_approval, self.cast_vote, self.count_approval)
        return (self.plan_renewal, self.find_due, self.hear, *steps, *switching, *approving)

    @activity.defn
    def plan_renewal(self, given: CertificateRenewalInput) -> RenewalPlan:
        return RenewalPlan(
            operation=f"operation-of-{given.certificate}",
            certificate=given.certificate,
            names=("www.example.com",),
            issuers=("acme", "local"),
            key_holder="hsm",
            key_algorithm="EC-P256",
            groups=(Group(name="shared", targets=TARGETS),),
            waves=(TARGETS[:1], TARGETS[1:]),
            previous=dict.fromkeys(TARGETS, OLD),
            grace_s=self.grace_s,
            issuer_patience_s=1,
            target_patience_s=1,
            undo_patience_s=60,
            due=self.due,
            undoing=self.undoing,
            needs_approval=self.approval,
            why="a rehearsal",
        )

    @activity.defn
    def hear(self, told: Told) -> Word:
        return Word(told=told, request=None, requester=UNKNOWN)

    @activity.defn
    def request_approval(self, ask: ApprovalAsk) -> Approval:
        about = _asked(ask.operation)
        return Approval(digest=digest(about), request=about, tally=tally(about, (), about.asked_at))

    @activity.defn
    def cast_vote(self, ballot: Ballot) -> Tally:
        about = _asked(ballot.operation)
        taken = Cast(number=1, vote=ballot.vote, received=about.asked_at + timedelta(hours=1))
        return tally(about, (taken,), taken.received)

    @activity.defn
    def count_approval(self, ask: ApprovalAsk) -> Approval:
        about = _asked(ask.operation)
        at = about.asked_at + timedelta(seconds=about.rule.escalate_after_s)
        return Approval(digest=digest(about), request=about, tally=tally(about, (), at))

    @activity.defn
    def find_due(self, _given: CertificateSweepInput) -> SweepFindings:
        due = tuple(SweepDecision(certificate=name, due=True, why="ended") for name in ("blog", "www"))
        return SweepFindings(looked_at=3, due=due)

    @activity.defn
    def make_key(self, step: StepInput) -> Done:
        return self._done(step, "make_key")

    @activity.defn
    def obtain_certificate(self, step: StepInput) -> IssuedCertificate:
        self._done(step, "obtain_certificate")
        facts = CertificateFacts(
            fingerprint=NEW,
            serial="1",
            names=("www.example.com",),
            issuer="CN=corpus",
            not_before=AT,
            not_after=AT.replace(year=2027),
            public_key_sha256="c" * 64,
            key_algorithm="EC-P256",
        )
        return IssuedCertificate(issuer=step.issuer, facts=facts)

    @activity.defn
    def stage(self, step: StepInput) -> Done:
        return self._done(step, "stage")

    @activity.defn
    def switch(self, step: StepInput) -> Done:
        return self._done(step, "switch")

    @activity.defn
    def verify(self, step: StepInput) -> Done:
        return self._done(step, "verify")

    @activity.defn
    def begin_undo(self, undo: Undo) -> UndoPlan:  # noqa: ARG002 - the step's signature
        if "begin_undo" in self.refused:
            raise self.refused["begin_undo"]
        return UndoPlan(targets=TARGETS)

    @activity.defn
    def restore(self, step: StepInput) -> Done:
        return self._done(step, "restore")

    @activity.defn
    def close_renewal(self, close: Close) -> Done:  # noqa: ARG002 - the step's signature
        return Done()

    def _done(self, step: StepInput, verb: str) -> Done:
        if verb in self.lost and activity.info().attempt == 1:
            activity.raise_complete_async()
        for name in (verb, f"{verb}/{step.target}", f"{verb}/{step.issuer}/{step.attempt}"):
            if name in self.refused:
                raise self.refused[name]
        return Done(words=NEW if step.target else "")


async def renewal(client: Client, queue: str) -> Handle:
    handle = await _start(client, queue)
    await handle.result()
    return handle


async def approved(client: Client, queue: str) -> Handle:
    """The first group does not answer, and one of the second approves."""
    handle = await _start(client, queue)
    while "ben" not in (await handle.query("status", result_type=RunStatus)).who_can_act:  # noqa: ASYNC110 - a server's answer
        await asyncio.sleep(0.05)
    about = _asked("operation-of-www")
    yes = Vote(
        request=digest(about),
        verdict=Verdict.APPROVE,
        approver="ben",
        key_id="ben-1",
        at=about.asked_at,
        signature="AAAA",
    )
    await handle.execute_update("approve", yes, result_type=Tally)
    await handle.result()
    return handle


async def grace_ended(client: Client, queue: str) -> Handle:
    """Someone ends it long before its time."""
    handle = await _start(client, queue)
    while (await handle.query("status", result_type=RunStatus)).phase != "grace":  # noqa: ASYNC110 - a server's answer
        await asyncio.sleep(0.05)
    await handle.execute_update("end-grace", Steer(reason="corpus"), result_type=Steered)
    await handle.result()
    return handle


async def undone(client: Client, queue: str) -> Handle:
    return await failed(await _start(client, queue))


async def aborted(client: Client, queue: str) -> Handle:
    """In its grace."""
    handle = await _start(client, queue)
    while (await handle.query("status", result_type=RunStatus)).phase != "grace":  # noqa: ASYNC110 - a server's answer
        await asyncio.sleep(0.05)
    await handle.execute_update("abort", Steer(reason="a complaint"), result_type=Steered)
    return await failed(handle)


async def swept(client: Client, queue: str) -> Handle:
    """Of two that are due, one is running already."""
    running = await client.start_workflow(
        CertificateRenewal.run,
        CertificateRenewalInput(certificate="blog"),
        id="certificate-renewal/blog",
        # Nobody works here: it runs until it is ended.
        task_queue=f"{queue}-nobody",
    )
    given = CertificateSweepInput(jitter_s=0.1)
    kind = WORKFLOW_TYPES["CertificateSweep"]
    handle: Handle = await client.start_workflow(
        kind.name, given, id=kind.workflow_id(given), task_queue=queue
    )
    await handle.result()
    await running.terminate()
    return handle


def _asked(operation: str) -> ApprovalRequest:
    """Asked so long ago that the second group is asked at once, and good for longer than anybody waits."""
    return ApprovalRequest(
        installation="corpus",
        namespace="default",
        workflow_type="CertificateRenewal",
        workflow_id="certificate-renewal/www",
        operation=operation,
        subject="www",
        plan={"certificate": "www"},
        requester=Principal(name="olga", shown=Shown.SIGNING_KEY),
        policy_version=1,
        rule=ApprovalRule(
            capability="certificates",
            needed=1,
            groups=(
                ApproverGroup(name="first", approvers=("anna",)),
                ApproverGroup(name="second", approvers=("ben",)),
            ),
        ),
        asked_at=AT,
        expires=AT.replace(year=2126),
    )


async def _start(client: Client, queue: str) -> Handle:
    given = CertificateRenewalInput(certificate="www", reason="corpus")
    kind = WORKFLOW_TYPES["CertificateRenewal"]
    return await client.start_workflow(kind.name, given, id=kind.workflow_id(given), task_queue=queue)

"""Renewals that wait for people: approved by two of three they renew, and by nothing less.

All cases go side by side, on workers that are killed where a vote was stored and where an approval was consumed.
"""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError

from clients.identities.requesting import signed_request
from clients.temporal.requests import presenting
from rules.requests import Facing, input_digest
from schemas.approvals import Approval, State, Tally, Vote
from schemas.certificates import CertificateRenewalInput
from schemas.principals import Act, Principal, Shown
from schemas.runs import Steer, Steered
from store.sql.engine import connect
from store.sql.policies import SqlPolicies
from tests.acceptance.cases import Cases, assert_told, ended
from tests.acceptance.fleet import Fleet, wait_until
from tests.unit.approvals.making import rule
from tests.unit.approvals.people import PEMS, SIGNERS, policy, vote
from tests.unit.policies.test_chain import put, written
from workflows.failures import words_of

APPROVERS = ("anna", "ben", "olga")
CASES = ("granted", "anew", "changed", "late")
Run = WorkflowHandle[Any, Any]


def install_policy(fleet: Fleet) -> None:
    """Two of three for every certificate; `late` has a second for it."""
    soon = rule(APPROVERS, hours=1 / 3600).model_copy(update={"scopes": ("late",)})
    document = written(policy(soon, rule(APPROVERS, hours=1)))
    fleet.document["policy"] = {"root_sha256": hashlib.sha256(document).hexdigest()}
    fleet.write()
    engine = connect(f"sqlite:///{fleet.folder}/redoubt.sqlite")
    put(SqlPolicies(engine), 1, document)
    engine.dispose()


OLGA = Principal(name="olga", shown=Shown.SIGNING_KEY)


async def started(client: Client, case: str) -> Run:
    """By Olga, who signs for it."""
    given, workflow_id = CertificateRenewalInput(certificate=case, force=True), f"certificate-renewal/{case}"
    facing = Facing(
        "test", client.namespace, Act.START, "CertificateRenewal", workflow_id, input_digest(given)
    )
    with presenting(signed_request(SIGNERS["olga"], OLGA, facing)):
        return await client.start_workflow(
            "CertificateRenewal", given, id=workflow_id, task_queue="certificates"
        )


async def asked(run: Run) -> Approval:
    """What the run asks, once it does."""
    deadline = asyncio.get_running_loop().time() + 60
    while True:
        given = await run.query("approval", result_type=dict[str, Any])
        if given:
            return Approval.model_validate(given)
        assert asyncio.get_running_loop().time() < deadline, f"{run.id} asks nobody"
        await asyncio.sleep(0.05)


async def cast(run: Run, one: Vote) -> Tally:
    tally: Tally = await run.execute_update(one.verdict.value, one, result_type=Tally)
    return tally


async def refused(run: Run, one: Vote) -> str:
    try:
        await cast(run, one)
    except WorkflowUpdateFailedError as failed:
        return words_of(failed.cause)
    raise AssertionError(f"{run.id} has taken the vote of {one.approver}")


async def steer(client: Client, run: Run, act: Act) -> None:
    """By Olga, who signs for it."""
    given = Steer(reason="a test")
    facing = Facing(
        "test",
        client.namespace,
        act,
        "CertificateRenewal",
        run.id,
        input_digest(given),
        run.result_run_id or "",
    )
    with presenting(signed_request(SIGNERS["olga"], OLGA, facing)):
        await run.execute_update(act.value, given, result_type=Steered)


async def killed_at_a_vote(fleet: Fleet, run: Run, one: Vote, doomed: Any) -> "asyncio.Task[Tally]":
    """The vote is on its way when the worker dies; the task is its answer, by whoever works next."""
    sending = asyncio.create_task(cast(run, one))
    await asyncio.to_thread(wait_until, fleet.marker.exists, 60, "the worker at approval.stored")
    doomed.kill()
    return sending


def rows(fleet: Fleet, query: str) -> list[Any]:
    with closing(sqlite3.connect(fleet.folder / "redoubt.sqlite", timeout=60)) as records, records:
        return records.execute(query).fetchall()


def events(fleet: Fleet, operation: str) -> list[str]:
    told = [json.loads(entry) for (entry,) in rows(fleet, "SELECT entry FROM evidence ORDER BY id")]
    mine = [one["what"] for one in told if one["operation"] == operation]
    return [what.removeprefix("approval.") for what in mine if what.startswith("approval.")]


@pytest.mark.timeout(400)  # two workers die, each of them is missed after ten seconds
async def test_two_of_three_approve_and_nothing_less_renews(fleets: Callable[..., Fleet]) -> None:
    fleet = fleets()
    cases = Cases(fleet)
    cases.build({case: {} for case in CASES}, targets="a")
    install_policy(fleet)
    doomed, client = fleet.worker(crash_at="approval.stored", name="first"), await cases.client()
    runs = {case: await started(client, case) for case in CASES}
    waits = {case: await asked(runs[case]) for case in CASES}
    annas = vote(waits["granted"].digest, "anna")
    sending = await killed_at_a_vote(fleet, runs["granted"], annas, doomed)
    doomed = fleet.worker(crash_at="approval.consumed", name="second")
    tally = await sending
    assert (tally.state, tally.approved_by, tally.needed) == (State.WAITING, ("anna",), 2)

    olgas = vote(waits["granted"].digest, "olga")
    assert "nobody approves what they have asked for" in await refused(runs["granted"], olgas)
    assert "another plan" in await refused(runs["anew"], annas)
    await planned_anew(client, runs["anew"], waits["anew"])
    await changed_after_approval(fleet, client, runs["changed"], waits["changed"])
    assert_told(await ended(runs["late"]), "ApprovalExpired", "0 of 2 had approved")

    approved_by_ben(fleet, waits["granted"])
    await asyncio.to_thread(wait_until, fleet.marker.exists, 60, "the worker at approval.consumed")
    doomed.kill()
    fleet.worker(name="third")
    end = await ended(runs["granted"])
    assert not end.code, end
    operation = waits["granted"].request.operation
    assert events(fleet, operation) == ["requested", "voted", "voted", "granted", "consumed"]
    used = rows(fleet, "SELECT operation FROM approval_uses")
    assert used == [(operation,)]
    assert [bool(cases.shown(case)[0]) for case in CASES] == [True, False, False, False]


async def planned_anew(client: Client, run: Run, before: Approval) -> None:
    """Anna approves, somebody aborts, and what is planned then is another operation: nobody has approved that."""
    yes = vote(before.digest, "anna")
    assert (await cast(run, yes)).approved_by == ("anna",)
    await steer(client, run, Act.ABORT)
    assert_told(await ended(run), "Aborted")
    again = await started(client, "anew")
    now = await asked(again)
    assert (now.digest == before.digest, now.tally.approved_by) == (False, ())
    assert "another plan" in await refused(again, yes)
    no = vote(now.digest, "ben", verdict=type(yes.verdict).REJECT)
    assert (await cast(again, no)).state is State.REFUSED
    assert_told(await ended(again), "ApprovalRefused", "ben has rejected it")


async def changed_after_approval(fleet: Fleet, client: Client, run: Run, before: Approval) -> None:
    """Enough approve while the run is paused; then somebody who can write to the records changes the plan."""
    await steer(client, run, Act.PAUSE)
    for name in ("anna", "ben"):
        tally = await cast(run, vote(before.digest, name))
    assert tally.state is State.GRANTED
    operation = before.request.operation
    evil = "replace(state, 'www.example.com', 'evil.example.com')"
    rows(fleet, f"UPDATE operations SET state = {evil} WHERE operation = '{operation}'")  # noqa: S608 - our own
    await steer(client, run, Act.RESUME)
    assert_told(await ended(run), "NotApproved", "not what was approved")
    assert "consumed" not in events(fleet, operation)


def approved_by_ben(fleet: Fleet, waiting: Approval) -> None:
    """As people do it."""
    key = Path(fleet.folder, "ben.pem")
    key.touch(mode=0o600)
    key.write_bytes(PEMS["ben"])
    workflow_id = waiting.request.workflow_id
    listed = fleet.redoubt("approvals", "list", "-o", "json")
    assert [one["workflow_id"] for one in listed.json] == [workflow_id], listed.err
    said = fleet.redoubt("approve", workflow_id, "--as", "ben", "--key", str(key), "-o", "json", given="y\n")
    assert said.code == 0, said.err
    assert (said.json["state"], said.json["digest"]) == ("granted", waiting.digest)
    for shown in ("www.example.com", "acme", "granted-a", "olga", "so far: anna", waiting.digest, "[y/N]"):
        assert shown in said.err, shown

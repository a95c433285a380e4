"""Whoever can write to Temporal, and to nothing else: every workflow started, every step called, and no effect.

The steps are called for an operation that nobody was admitted to start, for one that has ended well, and for one that
is in the middle.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError

from clients.settings import load
from schemas.catalogue import WORKFLOW_TYPES
from tests.acceptance.fleet import Fleet, wait_until
from tests.acceptance.governed import WWW, govern, planted, signed_by_anna, tried_by_a_rogue
from workers.pools import POOLS
from workers.pools import load as load_named
from workers.wiring import Wiring
from workflows.failures import code_of

HARMLESS = {
    "find_due",
    "look_again",
    "end_grace",
    "count_approval",
    "request_approval",
    "still_served",
    "begin_undo",
    "restore",
    "close_renewal",
}
"""They look, ask people, end what is not there, turn round what nobody may do (nothing of it was switched), or close
what is closed already as it was. Every other step must be refused.
"""
_HARSHLY = {"CertificateRenewal": {"certificate": "www", "force": True}}


def test_write_access_to_temporal_alone_has_no_effect(fleets: Callable[..., Fleet]) -> None:
    fleet = fleets()
    fleet.build(targets=("web-1",))
    govern(fleet)
    fleet.worker()
    given = json.dumps({"certificate": "www"})
    fleet.redoubt("start", "CertificateRenewal", "--input", "-", *signed_by_anna(fleet), given=given)
    assert fleet.watch(WWW)["state"] == "COMPLETED"
    wiring = Wiring(load(fleet.folder / "redoubt.yaml"))
    before = _seen(fleet)
    ((ended, _),) = before["operations"]

    asyncio.run(_start_every_workflow(wiring))
    assert _seen(fleet) == before

    nobodys = planted(fleet, wiring)
    before = _seen(fleet)
    for operation in (nobodys, ended):
        told = dict(asyncio.run(_call_every_step(wiring, operation)))
        assert {name for name, code in told.items() if code == "done"} <= HARMLESS, told
        assert "Internal" not in told.values(), told
    assert _seen(fleet) == before


def test_an_allowed_operation_in_the_middle_is_neither_ordered_for_again_nor_put_back(
    fleets: Callable[..., Fleet],
) -> None:
    """Its run is ended by the rogue, who then calls its steps under its ID: too early, and of orders that are none."""
    fleet = fleets()
    fleet.build(targets=("web-1", "web-2"), waves=[1])
    govern(fleet)
    given = json.dumps({"certificate": "www"})
    doomed = fleet.worker(crash_at="journal.finished@stage/web-1")
    fleet.redoubt("start", "CertificateRenewal", "--input", "-", *signed_by_anna(fleet), given=given)
    wait_until(fleet.marker.exists, 60, "the staging")
    doomed.kill()
    wiring = Wiring(load(fleet.folder / "redoubt.yaml"))
    ((operation, _),) = _seen(fleet)["operations"]
    fleet.worker(name="second")
    asyncio.run(_terminate(wiring))
    before = _seen(fleet)

    told = asyncio.run(tried_by_a_rogue(wiring, _out_of_turn(operation)))
    # What was issued is told to whoever asks for another one.
    assert {name for name, code in told if code == "done"} == {"obtain_certificate"}, told
    assert told[-1] == ("begin_undo", "NotAuthorized")
    assert _seen(fleet) == before

    fleet.redoubt("start", "CertificateRenewal", "--input", "-", *signed_by_anna(fleet), given=given)
    assert fleet.watch(WWW)["state"] == "COMPLETED"
    after = _seen(fleet)
    assert (after["ca"], after["operations"]) == (before["ca"], [(operation, "renewed")])


async def _terminate(wiring: Wiring) -> None:
    client = await wiring.client("certificates")
    await client.get_workflow_handle(WWW).terminate("by a rogue")


def _out_of_turn(operation: str) -> list[tuple[str, dict[str, Any]]]:
    of = {"operation": operation, "certificate": "www"}
    first = {**of, "group": "web-1", "target": "web-1", "issuer": "acme"}
    return [
        *((verb, {**first, "attempt": 2}) for verb in ("stage", "switch", "verify", "obtain_certificate")),
        ("verify", first),
        ("switch", {**first, "group": "web-2", "target": "web-2"}),
        ("begin_undo", {**of, "why": "a rogue"}),
    ]


async def _start_every_workflow(wiring: Wiring) -> None:
    """Unsigned, as from the Web UI's form, each with the example that we print."""
    for kind in WORKFLOW_TYPES.values():
        client = await wiring.client(kind.capability)
        given = kind.takes.model_validate({**kind.takes.example, **_HARSHLY.get(kind.name, {})})
        run = await client.start_workflow(
            kind.name, given, id=kind.workflow_id(given), task_queue=kind.capability
        )
        if kind.name == "CertificateSweep":  # it may look; nothing is due
            await run.result()
            continue
        with pytest.raises(WorkflowFailureError) as failed:
            await run.result()
        assert code_of(failed.value) == "NotAuthorized", kind.name


async def _call_every_step(wiring: Wiring, operation: str) -> list[tuple[str, str]]:
    given = _given(operation)
    assert set(given) == set(_registered()), "a step that this test does not know"
    # Who waits for a renewal under this ID would wait for the rogue itself.
    waiting = [("end_grace", given.pop("end_grace"))]
    told = await tried_by_a_rogue(wiring, list(given.items()))
    return told + await tried_by_a_rogue(wiring, waiting, "rogue/1")


def _registered() -> Iterator[str]:
    for pool in POOLS.values():
        for name, _ in pool.activities:
            methods = vars(load_named(name)).values()
            yield from (one.__name__ for one in methods if hasattr(one, "__temporal_activity_definition"))


def _given(operation: str) -> dict[str, dict[str, Any]]:
    """Well-formed, and as harmful as can be."""
    of = {"operation": operation, "certificate": "www"}
    step = {**of, "group": "web-1", "target": "web-1", "issuer": "acme"}
    close = {**of, "outcome": "renewed", "why": "a rogue"}
    revocation = {**of, "outcome": "revoked", "why": "a rogue"}
    vote = {
        "request": "a" * 64,
        "verdict": "approve",
        "approver": "anna",
        "key_id": "anna",
        "at": "2026-01-01T00:00:00Z",
        "signature": "AAAA",
    }
    return {
        "find_due": {},
        "look_again": {"certificate": "www"},
        "plan_renewal": {"certificate": "www", "force": True},
        **dict.fromkeys(("make_key", "obtain_certificate", "stage", "switch", "verify", "restore"), step),
        "begin_undo": {**of, "why": "a rogue"},
        **dict.fromkeys(("close_renewal", "revoke_previous", "destroy_keys"), close),
        "end_grace": {"certificate": "www"},
        "request_approval": {"operation": operation},
        "count_approval": {"operation": operation},
        "cast_vote": {"operation": operation, "vote": vote},
        "hear": {"act": "abort", "steer": {"reason": "a rogue"}},
        "plan_revocation": {"certificate": "www", "reason": "keyCompromise", "replace": False},
        **dict.fromkeys(("revoke", "still_served", "close_revocation"), revocation),
    }


def _seen(fleet: Fleet) -> dict[str, Any]:
    """What the web server shows, what the CA was asked for, what lies at the target, and how operations stand."""
    with closing(sqlite3.connect(fleet.folder / "redoubt.sqlite", timeout=60)) as records, records:
        operations = records.execute("SELECT operation, closed FROM operations ORDER BY operation")
        rows = operations.fetchall()
    target = fleet.sites["web-1"].target
    files = {str(one.relative_to(target)): one.read_bytes() for one in target.rglob("*") if one.is_file()}
    return {"shown": fleet.shown(), "ca": fleet.counts(), "files": files, "operations": rows}

"""Runs over HTTP on a real server, started, watched and steered as a person would with curl."""

import asyncio
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from temporalio.client import WorkflowHistory

from activities.policies import Held
from api.app import create_app
from api.authentication import Door
from cli.api import ClusterRuns
from cli.cluster import Cluster
from cli.histories import decoded
from clients.identities.api_keys import ApiKeys, new_key
from clients.identities.signing_keys import verify
from clients.settings import load
from clients.signers.file import FileSigner
from rules.requests import statement
from schemas.catalogue import WORKFLOW_TYPES
from schemas.evidence import Entry
from schemas.policies import Grant, Policy, PrincipalEntry, Role
from schemas.principals import REQUEST_HEADER, Shown, SignedRequest
from tests.integration.cli.conftest import House
from tests.unit.policies.people import pem
from workers.wiring import Wiring

DEADLINE_S = 60.0


@pytest.mark.usefixtures("working")
async def test_a_run_is_started_paused_resumed_and_watched_to_its_end(house: House) -> None:
    signing_key = house.folder / "api-signing-key"
    signing_key.touch(mode=0o600)
    signing_key.write_bytes(pem())
    key, digest = new_key(datetime.now(UTC) + timedelta(days=1))
    policy = Policy(
        installation="test",
        version=1,
        principals={"olga": PrincipalEntry(api_keys=(digest,))},
        grants=(Grant(role=Role.OPERATOR, principals=("olga",)),),
    )
    noted: list[Entry] = []
    runs = ClusterRuns(Cluster(load(house.settings)), f"file:{signing_key}")
    door = Door(lambda: Held(policy, "a" * 64), [ApiKeys()], noted.append)

    async def ready() -> dict[str, str]:
        return {}

    name = f"www-{secrets.token_hex(4)}"
    transport = httpx.ASGITransport(create_app(door, runs, ready))
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        start = {"type": "CertificateRenewal", "input": {"certificate": name}, "correlation": "ticket-4711"}
        started = await client.post("/v1/runs", json=start)
        assert started.status_code == 201, started.text
        run = f"/v1/runs/{started.json()['workflow_id']}"
        again = await client.post("/v1/runs", json=start)
        assert (again.status_code, again.json()["type"]) == (409, "urn:redoubt:error:AlreadyRunning")

        for verb, paused in (("pause", True), ("resume", False)):
            told = await client.post(f"{run}/updates/{verb}", json={"reason": "a test"})
            assert (told.status_code, told.json()["paused"]) == (200, paused), told.text
        not_now = await client.post(f"{run}/updates/resume", json={"reason": "once more"})
        assert (not_now.status_code, not_now.json()["type"]) == (409, "urn:redoubt:error:NotNow")

        handle = (await house.client()).get_workflow_handle(started.json()["workflow_id"])
        described = await handle.describe()
        assert await described.static_summary() == f"CertificateRenewal: {name}"
        assert await described.static_details() == WORKFLOW_TYPES["CertificateRenewal"].summary
        await _vouched_for_olga(house, await handle.fetch_history(), signing_key)
        await handle.signal("finish")
        seen = await _until(client, run, lambda found: found["state"] != "RUNNING")
        assert (seen["state"], seen["result"]["outcome"]) == ("COMPLETED", "renewed")
        assert seen["correlation_id"] == "ticket-4711"
        await _until(client, f"/v1/runs?subject={name}", lambda found: bool(found["runs"]))
    assert {entry.who for entry in noted} == {"olga"}


async def _until(
    client: httpx.AsyncClient, path: str, holds: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            found: dict[str, Any] = (await client.get(path)).json()
            if holds(found):
                return found
            await asyncio.sleep(0.1)


async def _vouched_for_olga(house: House, history: WorkflowHistory, signing_key: Path) -> None:
    """The run carries a request for her, signed by the API's key."""
    wiring = Wiring(load(house.settings))
    plain = await decoded(history, wiring.codec())
    fields = plain.events[0].workflow_execution_started_event_attributes.header.fields
    request = SignedRequest.model_validate_json(fields[REQUEST_HEADER].data)
    signer = FileSigner("api-1", f"file:{signing_key}", wiring.secrets())
    assert (request.principal.name, request.principal.shown) == ("olga", Shown.API_KEY)
    assert verify(signer.key, statement(request), request.signature)

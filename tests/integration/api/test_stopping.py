"""What a server has counted is recorded when it stops."""

import httpx
import pytest
from prometheus_client import CollectorRegistry

from activities.policies import Held
from api.authentication import Door
from api.codec_server import create_app
from api.guard import Guard
from api.readers import Credentials, Principals
from clients.identities.api_keys import ApiKeys
from schemas.listeners import Listener
from tests.servers.listeners import http_listener
from tests.unit.api.stand import Records, Reversing
from tests.unit.api.test_api import POLICY, House, bad


def codec_server(records: Records) -> Guard:
    held = Held(POLICY, "a" * 64)
    door = Door(lambda: held, [ApiKeys()], records.note)

    async def ready() -> dict[str, str]:
        return {}

    readers = Principals(Credentials(None, None), door, lambda: held, {})
    return create_app(readers, (), Reversing(), records.note, ready)


@pytest.mark.parametrize("path", ["/v1/runs", "/decode"])
async def test_refusals_that_were_counted_are_recorded_when_a_server_stops(path: str) -> None:
    if path == "/decode":
        records = Records()
        app = codec_server(records)
    else:
        house = House(Held(POLICY, "a" * 64))
        records, app = house.records, house.app
    async with (
        http_listener(app, Listener.API, None, CollectorRegistry()) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        for _ in range(3):
            assert (await client.post(path, headers=bad(), json={})).status_code == 401
        assert len(records.notes) == 1
    assert [entry.facts.get("times") for entry in records.notes] == [None, 2]

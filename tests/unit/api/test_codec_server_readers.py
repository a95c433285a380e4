"""With a policy the codec server knows who decodes, and lets auditors of everything do so; nobody else."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from activities.policies import Held
from api.authentication import Door
from api.codec_server import create_app
from api.readers import PATH, TOKEN, Credentials, Principals
from clients.identities.api_keys import ApiKeys, new_key
from rules.roles import ACTS
from schemas.evidence import Event
from schemas.policies import Grant, Policy, PrincipalEntry, Role
from schemas.principals import Act
from tests.unit.api.stand import BEARER, SECRET_PATH, UI, Records, Reversing, body
from tests.unit.api.stand import TOKEN as SHARED

KEY, DIGEST = new_key(datetime.now(UTC) + timedelta(days=1))
VERAS = {"authorization": f"Bearer {KEY}"}
FROM_UI = {"origin": UI}


def policy(*grants: Grant) -> Policy:
    people = {"vera": PrincipalEntry(api_keys=(DIGEST,)), "web-ui": PrincipalEntry()}
    return Policy(installation="test", version=1, principals=people, grants=grants)


def auditor(who: str = "vera", **reach: str) -> Grant:
    return Grant(role=Role.AUDITOR, principals=(who,), **reach)


@asynccontextmanager
async def serving(records: Records, some: Policy, holders: dict[str, str | None] | None = None) -> Any:
    async def ready() -> dict[str, str]:
        return {}

    def held() -> Held:
        return Held(some, "a" * 64)

    door = Door(held, [ApiKeys()], records.note)
    credentials = Credentials(SHARED.encode(), SECRET_PATH.encode())
    readers = Principals(credentials, door, held, holders or {})
    app = create_app(readers, (UI,), Reversing(), records.note, ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://codec") as client:
        yield client
    await door.close()


async def encoded(client: httpx.AsyncClient) -> Any:
    made = await client.post("/encode", json=body("1"), headers=VERAS)
    assert made.status_code == 200  # whoever is known may encode
    return made.json()


@pytest.mark.parametrize("role", Role)
async def test_of_all_roles_the_auditor_decodes(records: Records, role: Role) -> None:
    async with serving(records, policy(Grant(role=role, principals=("vera",)))) as client:
        answer = await client.post("/decode", json=await encoded(client), headers=VERAS)
    allowed = Act.DECODE in ACTS[role]
    assert answer.status_code == (200 if allowed else 403)
    (note,) = records.notes
    what = Event.PAYLOAD_DECODED if allowed else Event.AUTHORIZATION_REFUSED
    assert (note.what, note.who) == (what, "vera")
    assert allowed is (role is Role.AUDITOR)


@pytest.mark.parametrize(
    ("grant", "status"),
    [
        (auditor(), 200),
        (auditor(capability="certificates"), 200),
        (auditor(capability="payments"), 403),
        (auditor(scope="www*"), 403),
        (auditor(scope="?*"), 403),
        (auditor("web-ui"), 403),
    ],
)
async def test_a_payload_does_not_say_whose_it_is_so_an_auditor_of_a_part_reads_none(
    records: Records, grant: Grant, status: int
) -> None:
    async with serving(records, policy(grant)) as client:
        answer = await client.post("/decode", json=await encoded(client), headers=VERAS)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("how", "path", "headers"),
    [(PATH, f"/{SECRET_PATH}/decode", FROM_UI), (TOKEN, "/decode", BEARER)],
)
@pytest.mark.parametrize("named", ["web-ui", "vera", "stranger", None])
async def test_a_shared_secret_shows_whom_the_settings_name_for_it_and_else_nobody(
    records: Records, how: str, path: str, headers: dict[str, str], named: str | None
) -> None:
    async with serving(records, policy(auditor("web-ui")), {how: named}) as client:
        answer = await client.post(path, json=await encoded(client), headers=headers)
    assert answer.status_code == (200 if named == "web-ui" else 403)
    decoded = [note for note in records.notes if note.what is Event.PAYLOAD_DECODED]
    assert [(note.who, note.facts["shown"]) for note in decoded] == ([("web-ui", how)] * (named == "web-ui"))


@pytest.mark.parametrize(
    "headers", [{}, {"authorization": "Bearer " + "x" * 64}, {"authorization": "Basic a"}]
)
async def test_who_shows_nothing_good_is_asked_who_they_are(
    records: Records, headers: dict[str, str]
) -> None:
    async with serving(records, policy(auditor())) as client:
        for path in ("/encode", "/decode"):
            assert (await client.post(path, json=body("1"), headers=headers)).status_code == 401
        assert (await client.post(f"/{'x' * 64}/decode", json=body("1"))).status_code == 404
    assert not [note for note in records.notes if note.what is Event.PAYLOAD_DECODED]

"""The API's routes behind the door, with runs that only remember what they were told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import structlog

from activities.policies import Held
from api import refusals
from api.app import create_app
from api.authentication import Door
from api.refusals import MOST
from api.runs import MAX_BODY, Wanted
from clients.identities import Presented
from clients.identities.api_keys import ApiKeys, new_key
from schemas.catalogue import WORKFLOW_TYPES, WorkflowType
from schemas.contract import Contract, WorkflowInput
from schemas.errors import AlreadyRunning, DependencyUnavailable, NotAuthenticated, ReloadFailed
from schemas.evidence import Event
from schemas.policies import Grant, Policy, PrincipalEntry, Role
from schemas.principals import Act, Principal, Shown
from tests.unit.api.stand import Records

CANARY = "canary-7d20aa"
END = datetime.now(UTC) + timedelta(days=1)
KEYS = {name: new_key(END) for name in ("olga", "vera", "nora")}
POLICY = Policy(
    installation="test",
    version=1,
    principals={name: PrincipalEntry(api_keys=(digest,)) for name, (_, digest) in KEYS.items()},
    grants=(
        Grant(role=Role.OPERATOR, principals=("olga",), scope="www*"),
        Grant(role=Role.VIEWER, principals=("vera",)),
    ),
)
START = {"type": "CertificateRenewal", "input": {"certificate": "www"}}
RUN = "/v1/runs/certificate-renewal/www"


class Told:
    """The port to the cluster."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failing: Exception | None = None

    def _told(self, *call: Any) -> None:
        self.calls.append(call)
        if self.failing is not None:
            raise self.failing

    async def start(self, kind: WorkflowType, given: WorkflowInput, who: Principal) -> dict[str, str]:
        self._told("start", kind.name, given.subject, who)
        return {"workflow_id": kind.workflow_id(given), "run_id": "r-1", "link": "http://ui/r-1"}

    async def listed(self, wanted: Wanted) -> list[dict[str, Any]]:
        self._told("listed", wanted)
        return [{"workflow_id": f"certificate-renewal/{name}"} for name in ("www", "mail")]

    async def look(self, workflow_id: str) -> dict[str, Any]:
        self._told("look", workflow_id)
        return {"workflow_id": workflow_id, "state": "RUNNING"}

    async def update(self, workflow_id: str, act: Act, given: Contract, who: Principal) -> dict[str, Any]:
        self._told("update", workflow_id, act, given.model_dump(), who.name)
        return {"phase": "switching", "paused": True}


class Away:
    """An issuer whose key set can't be had."""

    @staticmethod
    async def principal(policy: Policy, presented: Presented) -> Principal | None:  # noqa: ARG004 - the port's
        raise DependencyUnavailable("The key set can't be had.")


class House:
    def __init__(self, held: Held | None, *authenticators: Any) -> None:
        self.runs, self.records = Told(), Records()
        self.door = door = Door(lambda: held, [ApiKeys(), *authenticators], self.records.note)

        async def ready() -> dict[str, str]:
            return {"records": "EvidenceUnavailable" if self.records.away else "ok"}

        self.app = create_app(door, self.runs, ready)
        transport = httpx.ASGITransport(self.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://api")

    async def ask(self, method: str, path: str, who: str | None = None, **more: Any) -> httpx.Response:
        headers = {} if who is None else {"authorization": f"Bearer {KEYS[who][0]}"}
        return await self.client.request(method, path, headers=headers | more.pop("headers", {}), **more)


@pytest.fixture
def house() -> House:
    return House(Held(POLICY, "a" * 64))


async def test_a_start_is_made_for_the_caller_once_it_is_in_the_evidence(house: House) -> None:
    answer = await house.ask("POST", "/v1/runs", "olga", json={**START, "correlation": "ticket-4711"})
    assert answer.status_code == 201
    assert answer.json() == {
        "workflow_id": "certificate-renewal/www",
        "run_id": "r-1",
        "link": "http://ui/r-1",
        "correlation_id": "ticket-4711",
    }
    who = Principal(name="olga", shown=Shown.API_KEY)
    assert house.runs.calls == [("start", "CertificateRenewal", "www", who)]
    (entry,) = house.records.notes
    assert (entry.what, entry.who, entry.subject) == (Event.AUTHORIZATION_ALLOWED, "olga", "www")
    assert KEYS["olga"][0] not in entry.model_dump_json()


@pytest.mark.parametrize("kind", WORKFLOW_TYPES.values(), ids=lambda kind: kind.name)
async def test_every_type_is_told_and_its_example_is_taken(house: House, kind: WorkflowType) -> None:
    shown = await house.ask("GET", f"/v1/types/{kind.name}/schema", "vera")
    assert shown.json()["examples"] == [kind.takes.example]
    listed = await house.ask("GET", "/v1/types", "vera")
    assert kind.name in [row["type"] for row in listed.json()["types"]]
    # Vera may only look: the example was taken, and the policy refused.
    answer = await house.ask(
        "POST", "/v1/runs", "vera", json={"type": kind.name, "input": kind.takes.example}
    )
    assert answer.status_code == 403
    assert house.runs.calls == []


@pytest.mark.parametrize(("who", "status", "noted"), [("vera", 403, 1), ("nora", 403, 1), (None, 401, 0)])
async def test_who_may_not_starts_nothing(house: House, who: str | None, status: int, noted: int) -> None:
    answer = await house.ask("POST", "/v1/runs", who, json=START)
    assert answer.status_code == status
    assert house.runs.calls == []
    assert [entry.what for entry in house.records.notes] == [Event.AUTHORIZATION_REFUSED] * noted
    assert answer.json()["correlation_id"] == answer.headers["x-correlation-id"]
    assert answer.json()["what_to_do"]


async def test_a_key_that_nobody_has_is_refused_recorded_and_not_repeated(house: House) -> None:
    unknown, _ = new_key(END)
    answer = await house.ask("GET", RUN, headers={"authorization": f"Bearer {unknown}"})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    (entry,) = house.records.notes
    assert entry.who == "unverified"
    assert unknown not in answer.text + entry.model_dump_json()


async def test_a_key_in_the_address_opens_nothing(house: House) -> None:
    assert (await house.ask("GET", f"{RUN}?access_token={KEYS['vera'][0]}")).status_code == 401


async def test_a_client_certificate_is_taken_from_the_connection_only() -> None:
    seen: list[Presented] = []

    class Looking:
        @staticmethod
        async def principal(policy: Policy, presented: Presented) -> Principal | None:  # noqa: ARG004 - the port's
            seen.append(presented)
            raise NotAuthenticated("no.")

    house = House(Held(POLICY, "a" * 64), Looking())
    assert (await house.ask("GET", RUN, headers={"x-client-cert": "PEM"})).status_code == 401
    assert seen == [Presented()]


async def test_issuers_that_are_away_and_no_policy_let_nobody_in() -> None:
    token = {"authorization": "Bearer a.b.c"}
    away = House(Held(POLICY, "a" * 64), Away())
    assert (await away.ask("POST", "/v1/runs", json=START, headers=token)).status_code == 503
    open_house = House(None)
    assert (await open_house.ask("POST", "/v1/runs", "olga", json=START)).status_code == 403
    assert away.runs.calls == open_house.runs.calls == []


async def test_what_can_t_be_recorded_is_not_done(house: House) -> None:
    house.records.away = True
    assert (await house.ask("POST", "/v1/runs", "olga", json=START)).status_code == 503
    assert house.runs.calls == []
    assert (await house.ask("GET", "/readyz")).status_code == 503
    assert (await house.ask("GET", "/livez")).status_code == 200


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        ({"json": {**START, "input": {"certificate": "www", CANARY: CANARY}}}, 400, "CertificateRenewal"),
        ({"json": {"type": "CertificateRenewal"}}, 400, "input"),
        ({"json": {**START, "type": "CertificateRenewall"}}, 404, "Did you mean"),
        ({"json": {**START, "correlation": "x"}}, 400, "correlation"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "body"),
        ({"content": b"a: b", "headers": {"content-type": "text/yaml"}}, 415, "application/json"),
        ({"json": {**START, "type": "x" * MAX_BODY}}, 413, "1024 KiB"),
        ({"json": START, "headers": {"origin": "https://evil.example.com"}}, 403, "origin"),
    ],
)
async def test_wrong_requests_are_told_what_is_wrong(
    house: House, more: dict[str, Any], status: int, said: str
) -> None:
    answer = await house.ask("POST", "/v1/runs", "olga", **more)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert said in answer.json()["detail"]
    assert answer.json()["correlation_id"]
    assert house.runs.calls == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/v1/runs", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/runs/theirs/www", 404),
        ("POST", f"{RUN}/updates/terminate", 404),
        ("GET", "/v1/types/Nothing/schema", 404),
        ("GET", "/v1/runs?limit=1001", 400),
        ("GET", "/v1/runs?limit=%C2%B2", 400),
        ("GET", "/v1/runs?running=perhaps", 400),
        ("GET", "/v1/runs?limt=5", 400),
    ],
)
async def test_wrong_addresses_are_problems_too(house: House, method: str, path: str, status: int) -> None:
    answer = await house.ask(method, path, "vera")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_a_list_shows_what_the_caller_may_see(house: House) -> None:
    everything = await house.ask("GET", "/v1/runs?type=CertificateRenewal&running=true&limit=7", "vera")
    assert len(everything.json()["runs"]) == 2
    assert house.runs.calls == [("listed", Wanted("CertificateRenewal", "", "", running=True, limit=7))]
    own = await house.ask("GET", "/v1/runs", "olga")
    assert [run["workflow_id"] for run in own.json()["runs"]] == ["certificate-renewal/www"]
    assert (await house.ask("GET", "/v1/runs", "nora")).status_code == 403


@pytest.mark.parametrize("name", ["pause", "resume", "abort", "end-grace"])
async def test_updates_go_to_the_run_for_the_caller(house: House, name: str) -> None:
    path = f"{RUN}/updates/{name}"
    assert (await house.ask("POST", path, "olga", json={"reason": "a freeze"})).status_code == 200
    assert house.runs.calls == [
        ("update", "certificate-renewal/www", Act(name), {"reason": "a freeze"}, "olga")
    ]
    assert (await house.ask("POST", path, "vera", json={"reason": "a freeze"})).status_code == 403
    assert (await house.ask("POST", path, "olga", json={"reason": ""})).status_code == 400
    assert len(house.runs.calls) == 1


@pytest.mark.parametrize(
    ("failing", "status"),
    [
        (AlreadyRunning("certificate-renewal/www is running."), 409),
        (DependencyUnavailable("Temporal answers UNAVAILABLE.", retry_after_s=3), 503),
        (ZeroDivisionError(CANARY), 500),
        (ReloadFailed(f"web-1: /srv/{CANARY}/hook: not found"), 422),
    ],
)
async def test_what_goes_wrong_behind_it_is_told_in_our_words(
    house: House, failing: Exception, status: int
) -> None:
    house.runs.failing = failing
    with structlog.testing.capture_logs() as logged:
        answer = await house.ask("POST", "/v1/runs", "olga", json=START)
    assert answer.status_code == status
    if isinstance(failing, ReloadFailed):
        assert "web-1: …/hook: not found" in answer.json()["detail"]
        assert any(CANARY in str(line) for line in logged), "its log has what the answer leaves out"
    assert answer.headers.get("retry-after") == ("3" if status == 503 else None)
    assert CANARY not in answer.text


def bad() -> dict[str, str]:
    return {"authorization": f"Bearer {new_key(END)[0]}"}


async def test_refusals_in_numbers_are_two_rows_a_requester_and_say_how_many(house: House) -> None:
    door = house.door
    for number in range(30):
        assert (await house.ask("GET", RUN, headers=bad())).status_code == 401
        assert (await house.ask("POST", "/v1/runs", "vera", json=START)).status_code == 403
        assert (await house.ask("GET", f"{RUN}{number}", "nora")).status_code == 403
    assert [entry.who for entry in house.records.notes] == ["unverified", "vera", "nora"]
    await door.close()
    later = {entry.who: entry for entry in house.records.notes[3:]}
    assert {who: entry.facts["times"] for who, entry in later.items()} == {
        "unverified": 29,
        "vera": 29,
        "nora": 29,
    }
    assert later["nora"].facts["acts"] == {"read": 29}
    assert later["nora"].facts["subjects"] == [f"www{number}" for number in range(1, 21)]
    assert {entry.what for entry in later.values()} == {Event.AUTHORIZATION_REFUSED}


async def test_refusals_from_everywhere_share_a_row(house: House) -> None:
    transport = house.client._transport
    assert isinstance(transport, httpx.ASGITransport)
    for number in range(MOST + 40):
        transport.client = (f"192.0.2.{number}", 1)
        assert (await house.ask("GET", RUN, headers=bad())).status_code == 401
    await house.door.close()
    assert len(house.records.notes) == MOST + 2
    assert house.records.notes[-1].facts["times"] == 39


async def test_what_is_counted_is_recorded_when_the_interval_ends_and_kept_while_it_can_not_be(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusals, "INTERVAL_S", 0.05)
    for _ in range(2):
        await house.ask("GET", RUN, headers=bad())
    house.records.away = True
    await house.records.until(lambda: house.records.refused > 0)
    house.records.away = False
    await house.records.until(lambda: len(house.records.notes) == 2)
    assert house.records.notes[1].facts["times"] == 1


async def test_a_first_refusal_that_can_not_be_recorded_has_no_answer(house: House) -> None:
    house.records.away = True
    for _ in range(2):
        assert (await house.ask("GET", RUN, headers=bad())).status_code == 503
    house.records.away = False
    assert (await house.ask("GET", RUN, headers=bad())).status_code == 401
    assert len(house.records.notes) == 1

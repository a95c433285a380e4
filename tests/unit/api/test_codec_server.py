"""The codec server says nothing it should not, and records every decode before it answers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from api.codec_server import MAX_BODY
from api.readers import Credentials, SharedSecrets
from schemas.errors import InvalidReference
from schemas.evidence import Entry, Event, Kind
from tests.unit.api.stand import BEARER, CANARY, SECRET_PATH, TOKEN, UI, Records, app_for, asks, body


async def test_what_was_encoded_decodes_to_itself_and_the_decode_is_recorded_first(
    client: httpx.AsyncClient, records: Records
) -> None:
    given = body('"one"', '"two"')
    encoded = await client.post("/encode", json=given, headers=BEARER)
    assert encoded.status_code == 200
    assert '"one"' not in encoded.text
    assert records.notes == []

    headers = {**BEARER, "origin": UI, "x-namespace": "payments", "x-correlation-id": "from-the-caller-1"}
    decoded = await client.post("/decode", json=encoded.json(), headers=headers)

    assert decoded.json() == given
    (note,) = records.notes
    assert (note.what, note.kind) == (Event.PAYLOAD_DECODED, Kind.NOTE)
    assert note.who.startswith("codec-server:bearer-token@")
    assert note.correlation_id == "from-the-caller-1"
    assert note.facts["payloads"] == 2
    assert note.facts["origin"] == UI
    assert note.facts["namespace"] == "payments"
    digests = note.facts["sha256"]
    assert isinstance(digests, list)
    assert len(set(map(str, digests))) == 2


async def test_a_decode_that_cannot_be_recorded_gets_no_answer(
    client: httpx.AsyncClient, records: Records
) -> None:
    encoded = await client.post("/encode", json=body(f'"{CANARY}"'), headers=BEARER)
    records.away = True
    refused = await client.post("/decode", json=encoded.json(), headers=BEARER)
    assert refused.status_code == 503
    assert CANARY not in refused.text
    assert "payloads" not in refused.json()
    assert refused.json()["type"] == "urn:redoubt:error:EvidenceUnavailable"


async def test_digests_that_do_not_fit_into_one_note_fill_several(
    client: httpx.AsyncClient, records: Records
) -> None:
    encoded = await client.post("/encode", json=body(*map(str, range(1201))), headers=BEARER)
    assert (await client.post("/decode", json=encoded.json(), headers=BEARER)).status_code == 200
    assert [len(note.facts["sha256"]) for note in records.notes] == [500, 500, 201]  # type: ignore[arg-type]  # a list, as above
    assert len({(note.operation, note.step) for note in records.notes}) == 3
    assert len({note.operation for note in records.notes}) == 1


async def test_the_secret_path_stands_for_the_token(client: httpx.AsyncClient, records: Records) -> None:
    encoded = await client.post(f"/{SECRET_PATH}/encode", json=body("1"), headers={"origin": UI})
    decoded = await client.post(f"/{SECRET_PATH}/decode", json=encoded.json(), headers={"origin": UI})
    assert decoded.json() == body("1")
    assert records.notes[0].who.startswith("codec-server:secret-path@")


async def test_a_body_over_the_limit_is_refused_declared_or_not(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY // 65536 + 1):
            yield b" " * 65536

    headers = {**BEARER, "content-type": "application/json"}
    assert (await client.post("/decode", content=b" " * (MAX_BODY + 1), headers=headers)).status_code == 413
    assert (await client.post("/decode", content=chunks(), headers=headers)).status_code == 413


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"]
)
async def test_another_content_type_is_refused(client: httpx.AsyncClient, kind: str | None) -> None:
    """`text/plain` is what a page on another site could send without a preflight."""
    headers = {**BEARER, **({"content-type": kind} if kind else {})}
    refused = await client.post("/decode", content=json.dumps(body("1")).encode(), headers=headers)
    assert refused.status_code == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
async def test_another_method_is_refused(client: httpx.AsyncClient, method: str) -> None:
    refused = await client.request(method, "/decode", headers=BEARER)
    assert refused.status_code == 405
    assert "POST" in refused.headers["allow"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b'{"payloads": 1}',
        b'{"payloads": [{"data": "' + CANARY.encode() + b'!"}]}',
        b'{"unknown": []}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"payloads": [{"metadata": ' + b'{"a":' * 5000,
    ],
)
async def test_a_body_that_is_not_payloads_is_refused_and_not_repeated(
    client: httpx.AsyncClient, content: bytes
) -> None:
    headers = {**BEARER, "content-type": "application/json"}
    refused = await client.post("/decode", content=content, headers=headers)
    assert refused.status_code == 400
    assert CANARY not in refused.text


async def test_what_cannot_be_decoded_says_so_without_naming_keys(
    client: httpx.AsyncClient, records: Records
) -> None:
    refused = await client.post("/decode", json=body("1"), headers=BEARER)
    assert refused.status_code == 422
    assert CANARY not in refused.text
    assert records.notes == []


async def test_every_answer_carries_the_security_headers_and_a_correlation_id(
    client: httpx.AsyncClient,
) -> None:
    answers = [
        await client.post("/encode", json=body("1"), headers=BEARER),
        await client.post("/encode"),
        await client.get("/nothing"),
        await client.get("/livez"),
        await client.options("/decode", headers=asks("http://evil.example")),
    ]
    for answer in answers:
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert len(answer.headers["x-correlation-id"]) >= 8
    assert len({answer.headers["x-correlation-id"] for answer in answers}) == len(answers)


async def test_a_refusal_is_problem_details_with_the_same_correlation_id(client: httpx.AsyncClient) -> None:
    refused = await client.get("/decode")
    assert refused.headers["content-type"] == "application/problem+json"
    told = refused.json()
    assert told["type"] == "about:blank"
    assert told["status"] == 405
    assert told["correlation_id"] == refused.headers["x-correlation-id"]


async def test_a_malformed_correlation_id_is_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get("/livez", headers={"x-correlation-id": "a b;" + "x" * 500})
    assert " " not in answer.headers["x-correlation-id"]
    assert len(answer.headers["x-correlation-id"]) <= 64


async def test_an_unforeseen_failure_shows_neither_stack_nor_words(
    records: Records, logged: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_entry: Entry) -> None:
        raise ValueError(f"in /etc/passwd: {CANARY}")

    monkeypatch.setattr(records, "note", broken)
    transport = httpx.ASGITransport(app_for(records))
    async with httpx.AsyncClient(transport=transport, base_url="http://codec") as client:
        encoded = await client.post("/encode", json=body("1"), headers=BEARER)
        failed = await client.post("/decode", json=encoded.json(), headers=BEARER)
    assert failed.status_code == 500
    assert failed.json()["type"] == "urn:redoubt:error:Internal"
    for said in (CANARY, "Traceback", "passwd", ".py"):
        assert said not in failed.text
    assert any(line["log_level"] == "error" for line in logged)


async def test_the_request_log_holds_no_secret_and_no_content(
    client: httpx.AsyncClient, logged: list[dict[str, Any]]
) -> None:
    encoded = await client.post(f"/{SECRET_PATH}/encode", json=body(f'"{CANARY}"'), headers={"origin": UI})
    await client.post("/decode", json=encoded.json(), headers=BEARER)
    await client.post("/decode", json=body(f'"{CANARY}"'), headers=BEARER)
    requests = [line for line in logged if line["event"] == "request"]
    assert [(line["route"], line["status"]) for line in requests] == [
        ("/{secret_path}/encode", 200),
        ("/decode", 200),
        ("/decode", 422),
    ]
    assert all(line["correlation_id"] for line in requests)
    text = json.dumps(requests)
    for secret in (SECRET_PATH, TOKEN, CANARY):
        assert secret not in text


async def test_livez_and_readyz(client: httpx.AsyncClient, records: Records) -> None:
    assert (await client.get("/livez")).json() == {"alive": True}
    assert (await client.get("/readyz")).status_code == 200
    records.away = True
    not_ready = await client.get("/readyz")
    assert not_ready.status_code == 503
    assert not_ready.json() == {"ready": False, "checks": {"records": "EvidenceUnavailable"}}


@pytest.mark.parametrize(
    ("token", "secret_path"),
    [
        (None, None),
        (b"short", None),
        (None, b"short"),
        (b"", None),
        (TOKEN.encode(), b"with/slash" + b"x" * 40),
    ],
)
def test_it_does_not_start_open_or_with_a_credential_that_could_be_guessed(
    token: bytes | None, secret_path: bytes | None
) -> None:
    with pytest.raises(InvalidReference) as refused:
        SharedSecrets(Credentials(token, secret_path))
    for value in (token, secret_path):
        assert not value or value.decode() not in str(refused.value)

"""Who may use the codec server, and from where: tokens, the secret path, origins, preflights."""

import httpx
import pytest

from tests.unit.api.stand import BEARER, SECRET_PATH, TOKEN, UI, Records, app_for, asks, body


@pytest.mark.parametrize("path", ["/encode", "/decode"])
@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        TOKEN,
        "Bearer é",
    ],
)
async def test_a_missing_or_wrong_token_is_refused(
    client: httpx.AsyncClient, records: Records, path: str, authorization: str | None
) -> None:
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    refused = await client.post(path, json=body("1"), headers=headers)
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert TOKEN not in refused.text
    assert records.notes == []


@pytest.mark.parametrize("wrong", ["x", SECRET_PATH[:-1], SECRET_PATH + "x", TOKEN, "%C3%A9"])
async def test_a_wrong_path_is_answered_like_any_that_does_not_exist(
    client: httpx.AsyncClient, wrong: str
) -> None:
    refused = await client.post(f"/{wrong}/decode", json=body("1"))
    unknown = await client.get("/nothing/here/at/all")
    assert refused.status_code == unknown.status_code == 404


async def test_without_a_token_in_the_settings_the_plain_path_does_not_exist(records: Records) -> None:
    transport = httpx.ASGITransport(app_for(records, token=None))
    async with httpx.AsyncClient(transport=transport, base_url="http://codec") as client:
        assert (await client.post("/decode", json=body("1"), headers=BEARER)).status_code == 404


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        UI + "/",
        UI + ".evil.example",
        "http://127.0.0.1:8234",
        "https://127.0.0.1:8233",
    ],
)
async def test_a_foreign_origin_is_refused_even_with_the_token(
    client: httpx.AsyncClient, records: Records, origin: str
) -> None:
    for request in (
        client.post("/decode", json=body("1"), headers={**BEARER, "origin": origin}),
        client.post(f"/{SECRET_PATH}/decode", json=body("1"), headers={"origin": origin}),
        client.options("/decode", headers=asks(origin)),
    ):
        refused = await request
        assert refused.status_code == 403
        assert not [name for name in refused.headers if name.startswith("access-control-")]
    assert records.notes == []


@pytest.mark.parametrize("path", ["/encode", "/decode", f"/{SECRET_PATH}/decode"])
async def test_the_web_ui_passes_its_preflight_and_may_read_the_answer(
    client: httpx.AsyncClient, path: str
) -> None:
    allowed = await client.options(path, headers=asks(UI))
    assert allowed.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == UI
    assert allowed.headers["access-control-allow-methods"] == "POST"
    assert set(allowed.headers["access-control-allow-headers"].split(", ")) == {
        "authorization",
        "content-type",
        "x-namespace",
    }
    refused = await client.post("/encode", json=body("1"), headers={"origin": UI})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == UI
    assert refused.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    "wanted", [asks(UI, method="GET"), asks(UI, method="PUT"), asks(UI, headers="content-type,x-evil")]
)
async def test_a_preflight_that_asks_for_more_is_refused(
    client: httpx.AsyncClient, wanted: dict[str, str]
) -> None:
    assert (await client.options("/decode", headers=wanted)).status_code == 403


async def test_a_preflight_to_a_wrong_secret_path_finds_nothing(client: httpx.AsyncClient) -> None:
    assert (await client.options("/wrong/decode", headers=asks(UI))).status_code == 404

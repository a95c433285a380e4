"""What the API refuses to start with."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from api.api_process import build
from api.runs import Runs
from schemas.errors import InvalidReference, KeyStoreUnavailable, NotAuthorized, RedoubtError
from schemas.settings import Settings
from store.sql.migrations import migrate
from workers.wiring import Wiring

Wired = Callable[..., Wiring]


def never(_wiring: Wiring, _signing_key: str) -> Runs:
    raise AssertionError("it is refused before")


@pytest.fixture
def wired(tmp_path: Path) -> Iterator[Wired]:
    made: list[Wiring] = []

    def secret(name: str, value: str) -> str:
        file = tmp_path / name
        file.touch(mode=0o600)
        file.write_text(value)
        return f"file:{file}"

    def wire(*, payload_key: bool = True, spool_key: str = "", **api: str) -> Wiring:
        codec: dict[str, Any] = {"kind": "software", "path": str(tmp_path / "codec")}
        settings = {
            "store": {"url": f"sqlite:///{tmp_path}/records.sqlite"},
            "evidence": {"spool_key": spool_key or secret("spool-key", secrets.token_hex(32))},
            "key_stores": {"codec": {**codec, "master_key": secret("master-key", secrets.token_hex(32))}},
            "api": {name: secret(name, value) for name, value in api.items()},
        }
        made.append(Wiring(Settings.model_validate(settings)))
        migrate(made[0].engine())
        if payload_key:
            made[0].key_ring().rotate()
        return made[0]

    yield wire
    for one in made:
        one.engine().dispose()


def test_without_a_policy_it_does_not_start_and_says_what_to_do(wired: Wired) -> None:
    with pytest.raises(NotAuthorized, match="redoubt policy apply"):
        build(wired(), never)


@pytest.mark.parametrize(
    ("given", "kind", "said"),
    [
        ({"signing_key": "changeme"}, InvalidReference, r"^api\.signing_key can't be used"),
        ({"signing_key": ""}, InvalidReference, r"^api\.signing_key can't be used"),
        ({"spool_key": "env:REDOUBT_NOT_SET"}, InvalidReference, r"^evidence\.spool_key can't be used"),
        ({"payload_key": False}, KeyStoreUnavailable, "redoubt init"),
    ],
)
def test_without_its_secrets_or_a_payload_key_it_does_not_start_and_says_which(
    wired: Wired, given: dict[str, Any], kind: type[RedoubtError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        build(wired(**given), never)

"""Payload keys are rotated as an operation; secrets of an installation can lie in Vault; a worker refuses weak ones."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.init import SECRETS
from cli.output import ExitCode
from clients.settings import load
from clients.settings.shape import references
from schemas.errors import InvalidReference
from tests.integration.cli.conftest import House
from tests.servers.crashes import command_killed_at
from workers.pools import POOLS
from workers.startup import check_startup
from workers.wiring import Wiring


def _versions(house: House) -> list[int]:
    said = house.redoubt("codec", "status", "-o", "json")
    return list(json.loads(said.out)["versions"])


def test_a_rotation_makes_one_version_and_is_recorded(house: House) -> None:
    assert _versions(house) == [1]
    said = house.redoubt("codec", "rotate", "-o", "json")
    assert json.loads(said.out) == {"from": 1, "to": 2}
    assert _versions(house) == [1, 2]
    entries = json.loads(house.redoubt("audit", "log", "-o", "json").out)
    assert [(one["what"], one["kind"]) for one in entries] == [
        ("operation.opened", "note"),
        ("codec.key_rotated", "intent"),
        ("codec.key_rotated", "outcome"),
        ("operation.closed", "note"),
    ]


@pytest.mark.parametrize("point", ["rotation.begun", "payload-key.made"])
def test_a_rotation_that_was_killed_is_finished_by_the_next(point: str, house: House, tmp_path: Path) -> None:
    command_killed_at(point, tmp_path, [sys.executable, "-m", "cli.main", "codec", "rotate"])
    assert json.loads(house.redoubt("codec", "rotate", "-o", "json").out) == {"from": 1, "to": 2}
    assert _versions(house) == [1, 2]


def test_secrets_go_straight_into_vault_and_are_never_overwritten(
    vault: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, house: House
) -> None:
    monkeypatch.setenv("VAULT_ADDR", vault.address)
    monkeypatch.setenv("VAULT_TOKEN_FILE", str(vault.token_file))
    folder, below = tmp_path / "in-vault", f"secret/{tmp_path.name}"
    said = house.redoubt("init", "--dir", str(folder), "--vault", below, "-o", "json")
    assert said.code == ExitCode.OK, said.err
    assert {row["state"] for row in json.loads(said.out)} == {"made"}
    assert list((folder / "secrets").iterdir()) == []
    settings = load(folder / "redoubt.yaml")
    found = dict(references(settings))
    assert found["evidence.log_key"] == f"vault:{below}/log-key#value"
    assert all(reference.startswith(f"vault:{below}/") for reference in found.values())
    values = [Wiring(settings).secrets().resolve(f"vault:{below}/{name}#value") for name in SECRETS]
    assert len(set(values)) == len(SECRETS)
    again = house.redoubt("init", "--dir", str(folder), "--vault", below, "-o", "json")
    assert {row["state"] for row in json.loads(again.out)} == {"kept"}
    assert values == [Wiring(settings).secrets().resolve(f"vault:{below}/{name}#value") for name in SECRETS]


@pytest.mark.parametrize("value", [b"", b"changeme\n", b"0" * 64])
def test_no_worker_starts_with_an_empty_default_or_example_secret(value: bytes, house: House) -> None:
    settings = load(house.settings)
    pools = list(POOLS.values())
    check_startup(Wiring(settings), pools)
    used = {
        name: reference for name, reference in references(settings) if not name.startswith("codec_server.")
    }
    for reference in used.values():
        file = Path(reference.removeprefix("file:"))
        kept = file.read_bytes()
        file.write_bytes(value)
        with pytest.raises(InvalidReference, match="can't be used"):
            check_startup(Wiring(settings), pools)
        file.write_bytes(kept)
    assert len(used) == 4

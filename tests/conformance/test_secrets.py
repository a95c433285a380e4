"""What every source of secrets promises, shown on files, the environment and a real Vault."""

import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import hvac
import pytest

from clients.secrets.files import store_file
from clients.secrets.resolver import Secrets
from clients.secrets.vault import Vault, store_vault
from schemas.errors import DependencyUnavailable, InvalidReference
from tests.conftest import VaultServer


@dataclass
class Case:
    put: Callable[[str], str]
    """Keep a value and return the reference to it."""
    missing: str


@pytest.fixture(params=["file", "env", "vault"])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    match request.param:
        case "file":
            return _files(tmp_path)
        case "env":
            return _environment(monkeypatch)
        case _:
            return _vault(request.getfixturevalue("vault"), monkeypatch)


def _files(folder: Path) -> Case:
    def put(value: str) -> str:
        path = folder / secrets.token_hex(4)
        path.touch(mode=0o600)
        path.write_text(value)
        return f"file:{path}"

    return Case(put, f"file:{folder / 'missing'}")


def _environment(monkeypatch: pytest.MonkeyPatch) -> Case:
    def put(value: str) -> str:
        name = f"TEST_{secrets.token_hex(4)}"
        monkeypatch.setenv(name, value)
        return f"env:{name}"

    return Case(put, "env:TEST_MISSING")


def _vault(server: VaultServer, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.setenv("VAULT_ADDR", server.address)
    monkeypatch.setenv("VAULT_TOKEN_FILE", str(server.token_file))

    def put(value: str) -> str:
        path = f"tests/{secrets.token_hex(8)}"
        store_vault("secret", path, "value", value.encode())
        return f"vault:secret/{path}#value"

    return Case(put, "vault:secret/tests/missing#value")


def test_a_reference_leads_to_the_value_without_its_newline(case: Case) -> None:
    assert Secrets().resolve(case.put("value-5d1c")) == b"value-5d1c"
    assert Secrets().resolve(case.put("value-5d1c\n")) == b"value-5d1c"
    assert Secrets().resolve(case.put("two\nlines\n")) == b"two\nlines"


def test_a_missing_secret_is_refused(case: Case) -> None:
    with pytest.raises(InvalidReference):
        Secrets().resolve(case.missing)


@pytest.mark.parametrize("weak", ["changeme", "0" * 64, "Password!", "<token>"])
def test_a_default_is_refused_and_not_repeated(case: Case, weak: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Secrets().resolve(case.put(weak))
    assert weak not in str(caught.value)


def test_vault_keeps_what_it_has(vault: VaultServer) -> None:
    kept = Vault(vault.address, vault.token_file.read_bytes())
    kept.store("secret", "kept/once", "value", b"first-a1")
    with pytest.raises(FileExistsError):
        kept.store("secret", "kept/once", "value", b"second-b2")
    assert kept.read("secret/kept/once#value") == b"first-a1"


def test_vault_names_what_is_wrong(vault: VaultServer) -> None:
    kept = Vault(vault.address, vault.token_file.read_bytes())
    kept.store("secret", "kept/field", "value", b"first-a1")
    with pytest.raises(InvalidReference, match="no such text field"):
        kept.read("secret/kept/field#other")
    with pytest.raises(InvalidReference, match="no such secret"):
        kept.read("nowhere/kept/field#value")
    with pytest.raises(InvalidReference, match="does not let"):
        Vault(vault.address, b"another-token").read("secret/kept/field#value")


def test_a_secret_deleted_in_vault_is_missing(vault: VaultServer) -> None:
    token = vault.token_file.read_text()
    kept = Vault(vault.address, token.encode())
    kept.store("secret", "kept/gone", "value", b"first-a1")
    hvac.Client(vault.address, token).secrets.kv.v2.delete_latest_version_of_secret("kept/gone")
    with pytest.raises(InvalidReference, match="no such secret"):
        kept.read("secret/kept/gone#value")


def test_a_vault_that_is_away_is_a_dependency() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(DependencyUnavailable):
        Vault(address, b"token").read("secret/a#b")


def test_a_token_file_that_others_may_read_is_refused(
    vault: VaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_file(tmp_path / "token", vault.token_file.read_bytes())
    (tmp_path / "token").chmod(0o644)
    monkeypatch.setenv("VAULT_ADDR", vault.address)
    monkeypatch.setenv("VAULT_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(InvalidReference, match="0600"):
        Secrets().resolve("vault:secret/a#b")

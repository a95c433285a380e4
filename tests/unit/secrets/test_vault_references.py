"""What is refused before Vault is asked."""

import pytest

from clients.secrets.resolver import Secrets
from clients.secrets.vault import Vault
from schemas.errors import InvalidReference


@pytest.mark.parametrize(
    "address", ["http://vault.example.com:8200", "http://127.0.0.1.example.com", "ftp://x", "vault"]
)
def test_no_token_goes_over_a_plain_line(address: str) -> None:
    with pytest.raises(InvalidReference, match="must be https"):
        Vault(address, b"token")


@pytest.mark.parametrize(
    "reference", ["kv/../sys/seal#a", "kv/./a#b", "kv#a", "kv/a", "kv/a#", "/a#b", "kv/#a"]
)
def test_a_path_stays_in_its_mount(reference: str) -> None:
    with pytest.raises(InvalidReference, match="has the form"):
        Vault("https://vault.invalid", b"token").read(reference)


def test_address_and_token_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VAULT_ADDR", "VAULT_TOKEN", "VAULT_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InvalidReference, match="VAULT_ADDR"):
        Secrets().resolve("vault:kv/a#b")
    monkeypatch.setenv("VAULT_ADDR", "https://vault.invalid")
    with pytest.raises(InvalidReference, match="VAULT_TOKEN"):
        Secrets().resolve("vault:kv/a#b")

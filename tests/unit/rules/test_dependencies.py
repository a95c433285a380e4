"""What is one dependency, and what is not: the thing itself counts, not what the settings call it."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from rules.dependencies import of_issuer, of_target, of_token, of_vault
from schemas.settings.issuers import IssuerSettings
from schemas.settings.key_stores import Pkcs11Store
from schemas.settings.targets import TargetSettings

HOST_KEY = "ssh-ed25519 " + "A" * 68
VERIFY = {"verify": {"host": "www.example.com"}}


def target(**given: Any) -> str:
    return of_target(TypeAdapter[TargetSettings](TargetSettings).validate_python({"name": "web", **given}))


def issuer(**given: Any) -> str | None:
    return of_issuer(TypeAdapter[IssuerSettings](IssuerSettings).validate_python(given))


def login(host: str, port: int = 22, user: str = "deploy") -> dict[str, Any]:
    return {"host": host, "port": port, "user": user, "key": "env:KEY", "host_key": HOST_KEY}


def ssh(ssh: dict[str, Any], **more: Any) -> str:
    return target(kind="ssh-files", ssh=ssh, directory="/srv/tls", reload=["true"], **VERIFY, **more)


def kv(address: str) -> str:
    vault = {"address": address, "login": {"kind": "token", "token": "env:TOKEN"}}
    return target(kind="vault-kv", vault=vault, path="a")


def acme(directory: str) -> str | None:
    return issuer(kind="acme", directory=directory, account_key="env:KEY", challenge="web")


def test_targets_of_one_name_on_different_hosts_are_different_dependencies() -> None:
    assert ssh(login("web-1")) == ssh(login("WEB-1", user="other")) == "host/web-1:22"
    others = [
        ssh(login("web-2")),
        ssh(login("web-1", 2222)),
        ssh(login("web-1"), jump=login("gate")),
        ssh(login("web-1"), jump=login("other-gate")),
        target(directory="/srv/one", reload=["true"], **VERIFY),
        target(directory="/srv/two", reload=["true"], **VERIFY),
        target(kind="kubernetes-secret", server="https://web-1:22", ca_file="ca", token="env:T", secret="s"),
    ]
    assert len({*others, "host/web-1:22"}) == len(others) + 1


def test_whatever_leads_to_one_vault_shares_its_breaker() -> None:
    vault = {"address": "https://vault.example", "login": {"kind": "token", "token": "env:TOKEN"}}
    by_pki = issuer(kind="vault-pki", path="orders", vault=vault, role="web")
    assert {by_pki, kv("https://VAULT.example:443/"), of_vault("https://vault.example")} == {
        "vault/vault.example"
    }
    assert kv("https://vault.example:8200") == "vault/vault.example:8200"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://ca.example/dir", "https://CA.example:443/dir", True),
        ("https://ca.example/dir", "https://ca.example/staging", False),
        ("https://ca.example/dir", "https://ca.example:8443/dir", False),
        ("https://[2001:db8::1]:443/dir", "https://[2001:db8::1]/dir", True),
    ],
)
def test_a_ca_is_its_directory(one: str, other: str, same: bool) -> None:
    assert (acme(one) == acme(other)) is same


def test_a_token_is_its_label_in_its_module() -> None:
    def token(**given: str) -> str:
        return of_token(Pkcs11Store.model_validate({"kind": "pkcs11", "pin": "env:PIN", **given}))

    assert token(module="/a.so", token="one") == "token/one@/a.so"
    assert token(module="/b.so", token="one") != token(module="/a.so", token="one")


def test_what_asks_nobody_has_none() -> None:
    assert issuer(kind="local", path="ca", key_store="keys") is None
    assert issuer(kind="manual", path="orders", folder="folder", trust_file="roots") is None


@pytest.mark.parametrize("address", ["", "vault", f"https://user:{'secret'}@v.example:odd"])
def test_no_address_breaks_it_and_no_secret_gets_into_a_name(address: str) -> None:
    assert "secret" not in of_vault(address)

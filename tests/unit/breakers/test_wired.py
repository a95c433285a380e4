"""What the settings name stands behind a breaker of its name, and what must not wait for one does not."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from clients.breakers.breaker import Breaker
from clients.issuers import Rehearses, SuggestsRenewal
from clients.targets import Fence
from schemas.errors import DependencyUnavailable, RedoubtError
from schemas.settings import Settings
from schemas.settings.targets import FilesTarget
from tests.servers.orders import account_key, names_of_ones_own
from workers.wiring import Wiring


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wiring:
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    monkeypatch.setenv("ACCOUNT", account_key().decode())
    monkeypatch.setenv("CA_MASTER", "5a" * 16 + "c3" * 16)
    (tmp_path / "roots.pem").write_text("roots")
    return Wiring(
        Settings.model_validate(
            {
                "key_stores": {
                    "ca": {"kind": "software", "path": str(tmp_path / "keys"), "master_key": "env:CA_MASTER"},
                    "hsm": {"kind": "pkcs11", "module": "/nowhere.so", "token": "t", "pin": "env:PIN"},
                },
                "issuers": {
                    "acme": {
                        "kind": "acme",
                        "directory": "https://ca.invalid/dir",
                        "account_key": "env:ACCOUNT",
                        "challenge": "web",
                        "trust_file": str(tmp_path / "roots.pem"),
                        "caa_identities": ["ca.invalid"],
                    },
                    "local": {"kind": "local", "path": str(tmp_path / "ca"), "key_store": "ca"},
                },
                "challenges": {"web": {"kind": "http-01", "webroot": str(tmp_path)}},
            }
        )
    )


def opened(wiring: Wiring, name: str) -> Breaker:
    breaker = wiring.breakers().of(name)

    def fail() -> None:
        raise DependencyUnavailable("down")

    for _ in range(wiring.settings.breakers.failures):
        with pytest.raises(DependencyUnavailable):
            breaker.call(fail)
    return breaker


def refused(breaker: Breaker, do: Callable[[], object]) -> bool:
    """Whether it was this breaker that refused it; whatever else becomes of it."""
    before = breaker.standing().refused
    with contextlib.suppress(RedoubtError):
        do()
    return breaker.standing().refused > before


def test_a_ca_is_left_alone_but_for_what_asks_it_nothing(wiring: Wiring) -> None:
    breaker, issuer = opened(wiring, "ca/ca.invalid/dir"), wiring.issuer("acme")
    assert refused(breaker, lambda: issuer.place_order(names_of_ones_own()))
    assert refused(breaker, lambda: issuer.order("https://ca.invalid/order/1"))
    assert issuer.trust_anchors() == b"roots"
    assert isinstance(issuer, SuggestsRenewal)
    assert isinstance(issuer, Rehearses)


def test_our_own_ca_has_no_breaker(wiring: Wiring) -> None:
    wiring.issuer("local")
    assert wiring.breakers().standings() == []


def test_a_token_is_left_alone_but_for_health(wiring: Wiring) -> None:
    breaker, store = opened(wiring, "token/t@/nowhere.so"), wiring.key_store("hsm")
    assert refused(breaker, lambda: store.describe(b"1"))
    assert refused(breaker, lambda: store.sign(b"1", b"data", "sha256"))
    assert not refused(breaker, store.check)


def test_a_target_is_left_alone_but_for_putting_it_back(wiring: Wiring, tmp_path: Path) -> None:
    given = FilesTarget.model_validate(
        {"name": "web-1", "directory": str(tmp_path / "web-1"), "reload": ["true"], "verify": {"host": "h"}}
    )
    fence = Fence(operation="1", epoch=2)
    breaker, target = opened(wiring, f"folder/{str(tmp_path / 'web-1').lstrip('/')}"), wiring.target(given)
    assert refused(breaker, target.current)
    assert not refused(breaker, lambda: target.switch_back(None, fence))


def test_vault_is_left_alone_and_other_secrets_are_not(
    wiring: Wiring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", "https://vault.invalid:8200")
    breaker = opened(wiring, "vault/vault.invalid:8200")
    assert refused(breaker, lambda: wiring.secrets().resolve("vault:kv/a#b"))
    assert wiring.secrets().resolve("env:ACCOUNT")


def test_name_servers_are_left_alone(wiring: Wiring) -> None:
    assert refused(opened(wiring, "dns"), lambda: wiring.resolver().caa("www.example.com"))

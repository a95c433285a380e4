"""A real Vault as an issuer: its list of what is revoked, what its policy refuses, and a killed attempt."""

from pathlib import Path

import pytest

from cli.dev.process import free_port
from clients.issuers.vault_pki import VaultPki
from clients.revocation.crl import RevocationLists
from clients.secrets.resolver import Secrets
from clients.secrets.vault_session import VaultSession
from schemas.errors import CaRefused, CaUnavailable, DependencyUnavailable
from schemas.revocations import RevocationReason
from tests.conftest import VaultServer
from tests.servers.engines import Engine
from tests.servers.orders import Beats, names_of_ones_own, request


def issue(issuer: VaultPki, names: tuple[str, ...]) -> bytes:
    url = issuer.place_order(names).url
    issuer.finalize(url, request(names), Beats())
    return issuer.certificate(url)


def reader(issuer: VaultPki) -> RevocationLists:
    def fetch(url: str) -> bytes:
        content = issuer.crl_at(url)
        if content is None:
            raise DependencyUnavailable("not an address of this engine")
        return content

    return RevocationLists(fetch)


def test_its_list_tells_what_is_revoked_and_what_is_good(vault: VaultServer, tmp_path: Path) -> None:
    issuer = Engine.made(vault).issuer(tmp_path)
    gone, good = issue(issuer, names_of_ones_own()), issue(issuer, names_of_ones_own())
    assert reader(issuer).status(gone, issuer.trust_anchors()).state == "good"
    issuer.revoke(gone, RevocationReason.KEY_COMPROMISE)
    status = reader(issuer).status(gone, issuer.trust_anchors())
    assert status.state == "revoked"
    assert status.at is not None
    assert reader(issuer).status(good, issuer.trust_anchors()).state == "good"


def test_what_it_issued_can_be_verified_while_vault_is_away(vault: VaultServer, tmp_path: Path) -> None:
    engine = Engine.made(vault)
    issuing = engine.issuer(tmp_path)
    roots = issuing.trust_anchors()
    assert not (tmp_path / "orders").exists(), "who only looks writes nothing"
    issue(issuing, names_of_ones_own())
    away = engine.settings(tmp_path)
    nobody = away.vault.model_copy(update={"address": f"http://127.0.0.1:{free_port()}"})
    session = VaultSession("nobody", nobody, Secrets())
    issuer = VaultPki("pki", away.model_copy(update={"vault": nobody}), session)
    assert issuer.trust_anchors() == roots
    elsewhere = away.model_copy(update={"vault": nobody, "path": str(tmp_path / "new")})
    with pytest.raises(CaUnavailable):
        VaultPki("pki", elsewhere, session).trust_anchors()


def test_lists_are_read_at_its_own_addresses_alone(vault: VaultServer, tmp_path: Path) -> None:
    engine = Engine.made(vault)
    issuer = engine.issuer(tmp_path)
    delta_url = f"{vault.address}/v1/{engine.mount}/crl/delta"
    complete, delta = issuer.crl_at(engine.crl_url), issuer.crl_at(delta_url)
    assert complete is not None
    assert delta is not None
    assert issuer.crl_at(f"{engine.crl_url}/../../sys/health") is None
    assert issuer.crl_at("https://elsewhere.example/v1/pki/crl") is None


def test_what_the_role_refuses_is_refused_with_vaults_words(vault: VaultServer, tmp_path: Path) -> None:
    engine = Engine.made(vault, allow_any_name=False, allowed_domains=["inside.example"])
    issuer, names = engine.issuer(tmp_path), names_of_ones_own()
    url = issuer.place_order(names).url
    with pytest.raises(CaRefused, match="not allowed by this role"):
        issuer.finalize(url, request(names), Beats())
    assert issuer.order(url).status == "ready"
    assert engine.issued() == 0


def test_a_role_that_stores_nothing_issues_and_revokes_all_the_same(
    vault: VaultServer, tmp_path: Path
) -> None:
    engine = Engine.made(vault, no_store=True)
    issuer = engine.issuer(tmp_path)
    chain = issue(issuer, names_of_ones_own())
    assert engine.issued() == 0
    issuer.revoke(chain, RevocationReason.SUPERSEDED)
    assert reader(issuer).status(chain, issuer.trust_anchors()).state == "revoked"

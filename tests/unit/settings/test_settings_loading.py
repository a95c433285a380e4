"""Where settings come from, what overrides what, and what each relative path means."""

from pathlib import Path

import pytest

from clients.settings import load, locate, origins
from schemas.errors import InvalidSettings
from schemas.settings.challenges import WebrootChallenge
from schemas.settings.issuers import AcmeIssuer, LocalIssuer
from schemas.settings.key_stores import SoftwareStore

SETTINGS = """\
temporal:
  address: one:1
key_stores:
  keys-1:
    kind: software
    path: keys
    master_key: file:secrets/master key
  far:
    kind: software
    path: /var/keys
    master_key: file:/run/master
challenges:
  web: {kind: http-01, webroot: web root}
issuers:
  acme:
    kind: acme
    directory: https://ca.example/dir
    account_key: vault:kv/redoubt#account
    challenge: web
    ca_file: ca.pem
  local: {kind: local, path: ca, key_store: keys-1}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "redoubt.yaml"
    path.write_text(SETTINGS)
    return path


def test_an_empty_file_gives_the_defaults_with_paths_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "redoubt.yaml"
    file.write_text("")
    settings = load(file, {})
    assert settings.temporal.address == "127.0.0.1:7233"
    assert settings.store.url == f"sqlite:///{tmp_path}/redoubt.sqlite"
    assert settings.evidence.log_key == f"file:{tmp_path}/secrets/log-key"
    assert settings.evidence.spool == f"{tmp_path}/spool"


def test_relative_paths_and_references_are_resolved_against_the_file(file: Path) -> None:
    settings = load(file, {})
    keys, far = settings.key_stores["keys-1"], settings.key_stores["far"]
    acme, local = settings.issuers["acme"], settings.issuers["local"]
    assert isinstance(keys, SoftwareStore) and isinstance(far, SoftwareStore)  # noqa: PT018  # narrows both
    assert isinstance(acme, AcmeIssuer) and isinstance(local, LocalIssuer)  # noqa: PT018  # narrows both
    assert (keys.path, keys.master_key) == (f"{file.parent}/keys", f"file:{file.parent}/secrets/master key")
    assert (far.path, far.master_key) == ("/var/keys", "file:/run/master")
    assert (acme.ca_file, acme.trust_file) == (f"{file.parent}/ca.pem", None)
    assert acme.account_key == "vault:kv/redoubt#account"
    assert acme.directory == "https://ca.example/dir"
    assert local.path == f"{file.parent}/ca"
    web = settings.challenges["web"]
    assert isinstance(web, WebrootChallenge)
    assert web.webroot == f"{file.parent}/web root"


def test_other_databases_keep_their_url(tmp_path: Path) -> None:
    file = tmp_path / "redoubt.yaml"
    for url in (
        "postgresql+psycopg://me@db/redoubt",
        "sqlite:////var/lib/redoubt.sqlite",
        "sqlite:///:memory:",
    ):
        file.write_text(f"store: {{url: '{url}'}}\n")
        assert load(file, {}).store.url == url


def test_the_path_is_looked_for_in_order(
    file: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path_factory.mktemp("named") / "settings.yaml"
    named.write_text("")
    monkeypatch.chdir(file.parent)
    environ = {"REDOUBT_CONFIG": str(named)}
    assert locate(file, environ) == file
    assert locate(None, environ) == named
    assert locate(None, {}) == file
    monkeypatch.chdir(named.parent)
    with pytest.raises(InvalidSettings, match="redoubt init"):
        locate(None, {"REDOUBT_CONFIG": "/nowhere/redoubt.yaml"})


def test_the_environment_overrides_the_file(file: Path) -> None:
    environ = {
        "REDOUBT__TEMPORAL__ADDRESS": "[::1]:7233",
        "REDOUBT__CODEC_SERVER__PORT": "9000",
        "REDOUBT__CODEC_SERVER__ALLOWED_ORIGINS": "[https://ui.example]",
        "REDOUBT__KEY_STORES__KEYS_1__PATH": "elsewhere",
        "REDOUBT__POOLS__NEW_POOL__METRICS_PORT": "9100",
        "REDOUBT__ISSUERS__ACME__CONTACT": "[mailto:a@example.com, mailto:c@example.com]",
        "REDOUBT__ISSUERS__ACME__CA_FILE": "null",
        "REDOUBT__TELEMETRY__LOG_LEVEL": "DEBUG",
        "REDOUBT_CACHE": "not a setting",
    }
    settings = load(file, environ)
    acme, keys = settings.issuers["acme"], settings.key_stores["keys-1"]
    assert settings.temporal.address == "[::1]:7233"
    assert settings.codec_server.port == 9000
    assert settings.codec_server.allowed_origins == ("https://ui.example",)
    assert isinstance(keys, SoftwareStore)
    assert keys.path == f"{file.parent}/elsewhere"
    assert settings.pools["new-pool"].metrics_port == 9100
    assert isinstance(acme, AcmeIssuer)
    assert (acme.contact, acme.ca_file) == (("mailto:a@example.com", "mailto:c@example.com"), None)
    assert settings.telemetry.log_level == "DEBUG"


def test_a_place_in_a_list_is_overridden_by_its_number(tmp_path: Path) -> None:
    file = tmp_path / "redoubt.yaml"
    file.write_text("codec_server: {allowed_origins: [http://a, http://b]}\n")
    one = "REDOUBT__CODEC_SERVER__ALLOWED_ORIGINS__1"
    environ = {
        one: "http://c",
        "REDOUBT__CODEC_SERVER__ALLOWED_ORIGINS__2": "http://d",
    }
    assert load(file, environ).codec_server.allowed_origins == ("http://a", "http://c", "http://d")
    found = {each.name: each.origin for each in origins(file, {one: "http://c"})}
    assert found["codec_server.allowed_origins"] == f"redoubt.yaml:1, environment {one}"


def test_every_value_says_where_it_comes_from(file: Path) -> None:
    environ = {
        "REDOUBT__TEMPORAL__NAMESPACE": "prod",
        "REDOUBT__POOLS": "{certificates: {max_activities: 3}}",
    }
    found = {each.name: (each.value, each.origin) for each in origins(file, environ)}
    assert found["temporal.address"] == ("one:1", "redoubt.yaml:2")
    assert found["temporal.namespace"] == ("prod", "environment REDOUBT__TEMPORAL__NAMESPACE")
    assert found["temporal.web_ui"] == ("http://127.0.0.1:8233", "default")
    assert found["issuers.local.key_store"] == ("keys-1", "redoubt.yaml:21")
    assert found["issuers.local.valid_days"] == (30, "default")
    assert found["pools.certificates.max_activities"] == (3, "environment REDOUBT__POOLS")
    assert found["pools.certificates.graceful_shutdown_s"] == (30.0, "default")

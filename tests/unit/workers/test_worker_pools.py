"""The table of pools is whole: what it names exists, and no pool needs another's secrets."""

import threading
from collections.abc import Iterator

import pytest
from temporalio import activity

from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import InvalidReference, InvalidSettings
from schemas.settings import Settings
from schemas.settings.temporal import CodecServerSettings
from workers.building import drives_a_token
from workers.needs import codec_server_secrets, shared_secrets
from workers.once import Once
from workers.pools import POOLS, Pool, activities_of, load, named
from workers.startup import check_secrets
from workers.wiring import Wiring


def test_every_workflow_type_of_the_catalogue_runs_on_the_pool_of_its_capability() -> None:
    for kind in WORKFLOW_TYPES.values():
        assert kind.name in [name.rpartition(":")[2] for name in POOLS[kind.capability].workflows]


@pytest.mark.parametrize("pool", POOLS.values(), ids=list(POOLS))
def test_what_a_pool_names_can_be_imported(pool: Pool) -> None:
    assert len(pool.load_workflows()) == (len(pool.workflows) + 1 if pool.workflows else 0)
    for name, _build in pool.activities:
        assert isinstance(load(name), type)
    for duty in pool.duties:
        assert callable(load(duty.run))


def test_only_marked_methods_are_activities() -> None:
    class Some:
        @activity.defn
        def marked(self) -> None: ...

        def plain(self) -> None: ...

    assert [method.__name__ for method in activities_of(Some())] == ["marked"]


@pytest.mark.parametrize(("names", "said"), [([], "at least one"), (["certificates", "certs"], "'certs'")])
def test_a_pool_that_does_not_exist_is_refused_with_those_that_do(names: list[str], said: str) -> None:
    with pytest.raises(InvalidSettings) as refused:
        named(names, POOLS)
    assert said in refused.value.detail
    assert "certificates" in refused.value.detail


def test_a_pool_named_twice_runs_once() -> None:
    assert [pool.name for pool in named(["audit", "audit"], POOLS)] == ["audit"]


SETTINGS = Settings.model_validate(
    {
        "key_stores": {
            "codec": {"kind": "software", "path": "/nowhere", "master_key": "env:CODEC_MASTER"},
            "ca": {"kind": "software", "path": "/nowhere", "master_key": "env:CA_MASTER"},
            "hsm": {"kind": "pkcs11", "module": "/nowhere.so", "token": "t", "pin": "env:HSM_PIN"},
        },
        "issuers": {
            "acme": {
                "kind": "acme",
                "directory": "https://ca.invalid/dir",
                "account_key": "env:ACCOUNT",
                "eab": {"key_id": "k", "hmac_key": "env:EAB"},
                "challenge": "web",
            },
            "local": {"kind": "local", "path": "/nowhere", "key_store": "ca"},
        },
        "challenges": {"web": {"kind": "http-01", "webroot": "/nowhere"}},
        "evidence": {"log_key": "env:LOG", "spool_key": "env:SPOOL"},
        "codec_server": CodecServerSettings(token="env:TOKEN").model_dump(),
    }
)


def references(secrets: Iterator[tuple[str, str]]) -> set[str]:
    return {reference for _, reference in secrets}


def test_each_pool_needs_its_own_secrets_and_no_other() -> None:
    assert references(shared_secrets(SETTINGS)) == {"env:SPOOL", "env:CODEC_MASTER"}
    assert references(POOLS["audit"].secrets(SETTINGS)) == {"env:LOG"}
    assert references(POOLS["certificates"].secrets(SETTINGS)) == {"env:ACCOUNT", "env:EAB", "env:CA_MASTER"}
    assert references(codec_server_secrets(SETTINGS)) == {"env:TOKEN"}


def test_a_pool_drives_a_token_where_one_of_its_key_stores_is_one() -> None:
    assert not drives_a_token(POOLS["certificates"], SETTINGS), "nothing names the token"
    local = SETTINGS.issuers["local"].model_copy(update={"key_store": "hsm"})
    with_token = SETTINGS.model_copy(update={"issuers": {"local": local}})
    assert drives_a_token(POOLS["certificates"], with_token)
    assert not drives_a_token(POOLS["audit"], with_token)


@pytest.mark.parametrize("value", [None, "", "changeme", "password", "00000000"])
def test_a_missing_default_or_empty_secret_is_refused_by_the_settings_name(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("LOG", raising=False)
    if value is not None:
        monkeypatch.setenv("LOG", value)
    with pytest.raises(InvalidReference) as refused:
        check_secrets(Wiring(SETTINGS), POOLS["audit"].secrets)
    assert refused.value.detail.startswith("evidence.log_key can't be used.")
    assert not value or value not in refused.value.detail


def test_a_part_is_made_once_however_many_threads_ask() -> None:
    once, made, barrier = Once(), [], threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        once.get("part", lambda: made.append(1))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_part_that_failed_is_tried_again() -> None:
    once = Once()
    with pytest.raises(ZeroDivisionError):
        once.get("part", lambda: 1 // 0)
    assert once.get("part", lambda: 1) == 1

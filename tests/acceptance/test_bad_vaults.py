"""Vault on bad days: sealed in the middle of a run, sealed before an order, and with a token that has ended."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hvac.exceptions import Forbidden

from tests.acceptance.cases import Cases, assert_told, ended
from tests.acceptance.fleet import Fleet, wait_until
from tests.conftest import VaultServer
from tests.servers.engines import Engine
from tests.servers.sealable import OwnVault, own_vault

CASES = {
    "middle": {"issuers": ["vault"], "issuer_patience_s": 300.0},
    "before": {"issuers": ["vault", "local"], "issuer_patience_s": 1.0},
    "token": {"issuers": ["ended"], "issuer_patience_s": 1.0},
}


@pytest.fixture
def sealable(tmp_path: Path) -> Iterator[OwnVault]:
    folder = tmp_path / "vault"
    folder.mkdir()
    with own_vault(folder) as started:
        yield started


async def test_a_sealed_vault_is_waited_for_or_passed_over_and_an_ended_token_replaced(
    fleet: Fleet, sealable: OwnVault, tmp_path: Path
) -> None:
    cases, token = Cases(fleet), tmp_path / "token"
    cases.build(CASES, targets="a")
    _keep(token, str(sealable.root.token))
    engine = Engine.made(VaultServer(sealable.address, token, sealable.ca_file))
    for name in ("vault", "ended"):
        settings = engine.settings(fleet.folder / name).model_dump(mode="json")
        fleet.document["issuers"][name] = settings
    ended_token = tmp_path / "ended-token"
    _keep(ended_token, _short_token(sealable))
    fleet.document["issuers"]["ended"]["vault"]["login"]["token"] = f"file:{ended_token}"
    fleet.write()
    roots = tmp_path / "roots.pem"
    roots.write_bytes(engine.issuer(tmp_path).trust_anchors())

    worker = fleet.worker(crash_at="order.stored")
    run = await cases.start("middle")
    wait_until(fleet.marker.exists, 60, "the order")
    sealable.seal()
    worker.signal(signal.SIGCONT)
    assert "sealed or away" in await cases.tried_again("middle")
    before = (await cases.renew(["before"]))["before"]
    assert before.result is not None, before
    assert before.result.issuer == "local"
    assert "sealed or away" in before.result.passed_over[0]
    assert (await run.describe()).close_time is None
    sealable.unseal()
    middle = await ended(run)
    assert middle.result is not None, middle
    assert cases.shown("middle", roots) == list(middle.result.fingerprints.values())
    assert engine.issued() == 1

    wait_until(lambda: not _good(sealable, ended_token.read_text()), 60, "the token's end")
    assert_told((await cases.renew(["token"]))["token"], "VaultLoginRefused")
    assert engine.issued() == 1
    ended_token.write_text(str(sealable.root.token))
    assert not (await cases.renew(["token"]))["token"].code
    assert engine.issued() == 2


def _keep(file: Path, secret: str) -> None:
    file.touch(mode=0o600)
    file.write_text(secret)


def _short_token(vault: OwnVault) -> str:
    given = vault.root.auth.token.create(ttl="1s", explicit_max_ttl="1s")
    return str(given["auth"]["client_token"])


def _good(vault: OwnVault, token: str) -> bool:
    try:
        vault.root.auth.token.lookup(token)
    except Forbidden:
        return False
    return True

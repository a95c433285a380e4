"""`redoubt certs account-rollover` changes the key at the CA once, and only where the workers know both keys."""

from pathlib import Path

from cli.output import ExitCode
from clients.secrets.files import store_file
from clients.settings import load
from tests.conftest import Ca
from tests.integration.cli.conftest import House
from tests.servers.orders import account_key, names_of_ones_own
from workers.wiring import Wiring


def settle(house: House, ca: Ca, **keys: str) -> None:
    acme = {
        "kind": "acme",
        "directory": ca.directory,
        "ca_file": str(ca.ca_file),
        "trust_file": str(ca.trust_file),
        "challenge": "web",
        **keys,
    }
    house.change(
        issuers={"acme": acme, "local": {"kind": "local", "path": "ca", "key_store": "keys"}},
        challenges={"web": {"kind": "http-01", "webroot": str(ca.webroot)}},
        egress={"allow": ["127.0.0.0/8"]},
    )


def key(folder: Path, name: str) -> str:
    store_file(folder / name, account_key())
    return f"file:{folder / name}"


def test_the_account_changes_its_key_once(house: House, pebble: Ca, tmp_path: Path) -> None:
    old, new = key(tmp_path, "old"), key(tmp_path, "new")
    rollover = ("certs", "account-rollover", "acme", "--new-key", new)
    settle(house, pebble, account_key=old)
    url = Wiring(load(house.settings)).issuer("acme").place_order(names_of_ones_own()).url
    refused = house.redoubt(*rollover)
    assert refused.code == ExitCode.USAGE
    assert "issuers.acme.next_account_key" in refused.err

    settle(house, pebble, account_key=old, next_account_key=new)
    for words in ("has changed", "had changed"):
        said = house.redoubt(*rollover)
        assert said.code == ExitCode.OK, said.err
        assert words in said.err
    assert Wiring(load(house.settings)).issuer("acme").order(url).status == "pending"

    settle(house, pebble, account_key=new)
    assert Wiring(load(house.settings)).issuer("acme").order(url).status == "pending"
    assert "nothing is to be done" in house.redoubt(*rollover).err


def test_an_issuer_without_an_account_is_refused(house: House) -> None:
    for issuer in ("local", "nobody"):
        said = house.redoubt("certs", "account-rollover", issuer, "--new-key", "env:KEY")
        assert said.code == ExitCode.USAGE
        assert f"issuers.{issuer}" in said.err

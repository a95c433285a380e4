"""CAA by a real name server: what it says is found and judged before an order, and its silence holds the order back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.dev.servers import PebblePorts
from cli.dev.servers import pebble as configure_pebble
from clients.challenges.http01 import WebrootSolver
from clients.dns.resolver import DnsResolver
from clients.issuers.acme import AcmeIssuer
from clients.issuers.caa import CaaCheck
from rules.caa import Record
from schemas.errors import CaaForbids, DependencyUnavailable
from schemas.settings import issuers
from schemas.settings.dependencies import ResolverSettings
from tests.conftest import Ca
from tests.servers.names import GARBAGE, SERVFAIL, SILENT, NameServer, name_server
from tests.servers.orders import LOOPBACK, account_key, names_of_ones_own

ACCOUNT = "https://ca.example/acct/1"


@pytest.fixture
def names() -> Iterator[NameServer]:
    with name_server() as server:
        yield server


def resolver_of(names: NameServer, timeout_s: float = 60.0) -> DnsResolver:
    return DnsResolver(ResolverSettings(servers=(names.address,), timeout_s=timeout_s))


def check_of(names: NameServer) -> CaaCheck:
    return CaaCheck("acme-1", ("ca.example",), "http-01", resolver_of(names))


def nobody() -> str:
    raise AssertionError("no record asks for the account")


def test_records_are_found_at_the_name_and_where_its_cname_leads(names: NameServer) -> None:
    names.records = {
        "www.example.com": ["CNAME host.example.net."],
        "host.example.net": ['CAA 0 issue "ca.example; validationmethods=http-01"', 'CAA 128 tbs "x"'],
        "empty.example.com": ["TXT text"],
    }
    resolver = resolver_of(names)
    wanted = {Record(0, "issue", "ca.example; validationmethods=http-01"), Record(128, "tbs", "x")}
    assert set(resolver.caa("www.example.com")) == set(resolver.caa("host.example.net")) == wanted
    assert resolver.caa("empty.example.com") == ()
    assert resolver.caa("nowhere.example.com") == ()


@pytest.mark.parametrize("broken", [SERVFAIL, SILENT, GARBAGE])
def test_no_usable_answer_is_not_the_same_as_no_record(names: NameServer, broken: str) -> None:
    names.records = {"www.example.com": broken}
    with pytest.raises(DependencyUnavailable, match=r"www\.example\.com"):
        resolver_of(names, timeout_s=1.0).caa("www.example.com")


def test_the_nearest_records_count_and_the_one_that_forbids_is_named(names: NameServer) -> None:
    names.records = {"example.com": ['CAA 0 issue "other.example"'], "com": ['CAA 0 issue "ca.example"']}
    with pytest.raises(CaaForbids) as refused:
        check_of(names).check(("a.www.example.com",), nobody)
    for said in (
        "example.com",
        '0 issue "other.example"',
        "acme-1",
        "ca.example",
        "a.www.example.com",
        "http-01",
    ):
        assert said in refused.value.detail
    assert names.asked == ["a.www.example.com", "www.example.com", "example.com"]
    names.records = {"www.example.com": ['CAA 0 issue "ca.example"'], **names.records}
    check_of(names).check(("a.www.example.com",), nobody)


def test_each_place_is_looked_at_once_and_addresses_never(names: NameServer) -> None:
    check_of(names).check(
        ("a.example.com", "b.example.com", "*.example.com", "192.0.2.1", "2001:db8::1"), nobody
    )
    assert sorted(names.asked) == ["a.example.com", "b.example.com", "com", "example.com"]


def test_our_account_is_asked_for_only_where_a_record_binds_it(names: NameServer) -> None:
    names.records = {"example.com": [f'CAA 0 issue "ca.example; accounturi={ACCOUNT}"']}
    check_of(names).check(("www.example.com",), lambda: ACCOUNT)
    with pytest.raises(CaaForbids):
        check_of(names).check(("www.example.com",), lambda: f"{ACCOUNT}0")


def test_without_identities_nothing_is_looked_up(names: NameServer) -> None:
    check = CaaCheck("acme-1", (), "http-01", resolver_of(names))
    assert check.check(("www.example.com",), nobody) == ()
    assert not names.asked


def test_without_identities_of_the_settings_those_of_the_cas_directory_count(names: NameServer) -> None:
    names.records = {"example.com": ['CAA 0 issue "other.example"']}
    check = CaaCheck("acme-1", (), "http-01", resolver_of(names))
    with pytest.raises(CaaForbids, match=r"acme-1 \(ca\.example\)"):
        check.check(("www.example.com",), nobody, ("ca.example",))
    assert check.check(("www.example.com",), nobody, ("other.example",)) == ("other.example",)
    assert check_of(names).check(("www.example.net",), nobody, ("other.example",)) == ("ca.example",)


def test_the_directory_of_a_real_ca_gives_them(names: NameServer, tmp_path: Path) -> None:
    ca = configure_pebble(tmp_path / "ca", PebblePorts(), caa_identities=("ca.example",))
    ca.start()
    try:
        given = issuers.AcmeIssuer(
            kind="acme",
            directory=ca.directory,
            account_key="env:A",
            ca_file=str(ca.ca_file),
            challenge="web",
        )
        check = CaaCheck("acme-1", (), "http-01", resolver_of(names))
        issuer = AcmeIssuer(
            "acme-1", given, account_key(), WebrootSolver(tmp_path), allow=LOOPBACK, caa=check
        )
        assert issuer.place_order(names_of_ones_own()).caa == ("ca.example",)
        names.records = {"example.com": ['CAA 0 issue "other.example"']}
        with pytest.raises(CaaForbids):
            issuer.place_order(names_of_ones_own())
    finally:
        ca.stop()


def test_an_order_that_records_forbid_never_reaches_the_ca(
    names: NameServer, pebble: Ca, tmp_path: Path
) -> None:
    given = issuers.AcmeIssuer(
        kind="acme",
        directory=pebble.directory,
        account_key="env:A",
        ca_file=str(pebble.ca_file),
        challenge="web",
        caa_identities=("ca.example",),
    )
    solver = WebrootSolver(tmp_path)
    issuer = AcmeIssuer("acme-1", given, account_key(), solver, allow=LOOPBACK, caa=check_of(names))
    wanted = names_of_ones_own()
    names.records = {"example.com": ['CAA 0 issue ";"']}
    with pytest.raises(CaaForbids):
        issuer.place_order(wanted)
    assert wanted[0] not in pebble.log.read_text(encoding="utf-8", errors="replace")
    # Bound to the account that the CA gave us: it is registered, and found to be ours.
    url = issuer._account.url()
    names.records = {
        "example.com": [f'CAA 0 issue "ca.example; accounturi={url}; validationmethods=http-01"']
    }
    assert issuer.place_order(wanted).status == "pending"

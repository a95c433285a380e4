"""A CA that is hostile: what it answers, and where its links lead, does no harm and is said in words."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.challenges.http01 import WebrootSolver
from clients.issuers.acme import AcmeIssuer
from rules.failover import another_may_help
from schemas.errors import CaUnavailable, EgressRefused, RedoubtError
from schemas.settings import issuers
from tests.servers.hostile import Behaviour, Hostile, Identity, answering, serving
from tests.servers.orders import LOOPBACK, account_key, names_of_ones_own

Given = Callable[[Hostile], Behaviour]


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return Identity(tmp_path_factory.mktemp("identity"), "localhost")


@pytest.fixture
def ca(identity: Identity) -> Iterator[Hostile]:
    with serving(identity=identity) as started:
        yield started


def issuer_of(ca: Hostile, ca_file: Path, folder: Path) -> AcmeIssuer:
    given = issuers.AcmeIssuer(
        kind="acme",
        directory=f"https://localhost:{ca.port}/dir",
        account_key="env:A",
        ca_file=str(ca_file),
        challenge="web",
    )
    return AcmeIssuer("bad-ca", given, account_key(), WebrootSolver(folder), allow=LOOPBACK)


def directory(ca: Hostile, **links: str) -> Behaviour:
    names = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")
    return answering({**{name: f"https://localhost:{ca.port}/{name}" for name in names}, **links})


def redirecting(location: str) -> Given:
    return lambda _ca: answering(b"", 302, Location=location)


def linking(url: str) -> Given:
    return lambda ca: directory(ca, newNonce=url)


REFUSED: dict[str, Given] = {
    "endless body": lambda ca: ca.endless,
    "another content type": lambda _ca: answering(b"<html>", Content_Type="text/html"),
    "compressed": lambda _ca: answering(b"\x1f\x8b", Content_Encoding="gzip"),
    "redirect inside": redirecting("https://169.254.169.254/latest/meta-data"),
    "redirect to another host": redirecting("https://ca.example.test/dir"),
    "redirect for ever": redirecting("/dir"),
    "link inside": linking("https://10.0.0.1/nonce"),
    "link to a mapped address": linking("https://[::ffff:169.254.169.254]/nonce"),
    "link in plain": linking("http://localhost/nonce"),
    "link into a file": linking("file:///etc/passwd"),
    "link with credentials": linking("https://user:word@localhost/nonce"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_left_alone_and_the_next_issuer_is_asked(
    ca: Hostile, identity: Identity, tmp_path: Path, what: str
) -> None:
    ca.behaviours["/dir"] = REFUSED[what](ca)
    with pytest.raises(EgressRefused, match=r"bad-ca|no address") as refused:
        issuer_of(ca, identity.ca_file, tmp_path).place_order(names_of_ones_own())
    assert not refused.value.type.retryable
    assert another_may_help(refused.value.code)
    assert {path for _, path, _ in ca.asked} == {"/dir"}


WHOLE = {"status": "pending", "authorizations": [], "finalize": "https://localhost/finalize"}
NOT_WHOLE: dict[str, object] = {
    "no order at all": {},
    "without a status": {**WHOLE, "status": None},
    "in a state that there is not": {**WHOLE, "status": "revoked"},
    "without authorizations": {**WHOLE, "authorizations": None},
    "with numbers for links": {**WHOLE, "authorizations": [1]},
    "without a place to finalize": {name: WHOLE[name] for name in ("status", "authorizations")},
}


@pytest.mark.parametrize("what", NOT_WHOLE)
def test_an_order_that_is_not_whole_is_no_answer(
    ca: Hostile, identity: Identity, tmp_path: Path, what: str
) -> None:
    here = f"https://localhost:{ca.port}"
    given = {name: value for name, value in NOT_WHOLE[what].items() if value is not None}  # type: ignore[attr-defined]  # a dict
    nonce = "bm9uY2U"
    ca.behaviours |= {
        "/dir": directory(ca),
        "/newNonce": answering(b"", Replay_Nonce=nonce),
        "/newAccount": answering({"status": "valid"}, 201, Location=f"{here}/account", Replay_Nonce=nonce),
        "/newOrder": answering(given, 201, Location=f"{here}/order", Replay_Nonce=nonce),
        "/order": answering(given, Replay_Nonce=nonce),
    }
    issuer = issuer_of(ca, identity.ca_file, tmp_path)
    with pytest.raises(CaUnavailable):
        issuer.place_order(names_of_ones_own())
    with pytest.raises(CaUnavailable):
        issuer.order(f"{here}/order")


@pytest.mark.parametrize("body", [b"[]", b'"a text"', b"7", b"{", b'{"newNonce": 7}'])
def test_a_directory_that_is_none_is_no_answer(
    ca: Hostile, identity: Identity, tmp_path: Path, body: bytes
) -> None:
    ca.behaviours["/dir"] = answering(body)
    with pytest.raises(RedoubtError) as refused:
        issuer_of(ca, identity.ca_file, tmp_path).place_order(names_of_ones_own())
    assert another_may_help(refused.value.code)


def test_a_body_that_trickles_ends_with_the_time(
    monkeypatch: pytest.MonkeyPatch, ca: Hostile, identity: Identity, tmp_path: Path
) -> None:
    monkeypatch.setattr("clients.issuers.acme_network.TIMEOUT_S", 1)
    ca.behaviours["/dir"] = ca.slow
    with pytest.raises(CaUnavailable, match="Timeout"):
        issuer_of(ca, identity.ca_file, tmp_path).place_order(names_of_ones_own())


def test_a_certificate_for_another_name_is_not_spoken_to(tmp_path: Path) -> None:
    other = Identity(tmp_path, "other.example.test")
    with serving(identity=other) as ca:
        ca.behaviours["/dir"] = directory(ca)
        with pytest.raises(CaUnavailable, match="SSLError"):
            issuer_of(ca, other.ca_file, tmp_path).place_order(names_of_ones_own())
        assert not ca.asked


def test_the_directory_itself_must_be_where_the_settings_let_it_be(
    ca: Hostile, identity: Identity, tmp_path: Path
) -> None:
    ca.behaviours["/dir"] = directory(ca)
    given = issuers.AcmeIssuer(
        kind="acme",
        directory=f"https://localhost:{ca.port}/dir",
        account_key="env:A",
        ca_file=str(identity.ca_file),
        challenge="web",
    )
    issuer = AcmeIssuer("bad-ca", given, account_key(), WebrootSolver(tmp_path))
    with pytest.raises(RedoubtError, match=r"egress\.allow"):
        issuer.place_order(names_of_ones_own())
    assert not ca.asked

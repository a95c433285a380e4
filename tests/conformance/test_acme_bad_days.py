"""An ACME CA's bad days, on Pebbles of our own: down, forgetful, nonces refused, accounts refused, orders void."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.dev.process import free_port
from cli.dev.servers import EAB_HMAC_KEY, EAB_KEY_ID, Pebble, PebblePorts, pebble
from clients.challenges import Proof
from clients.challenges.http01 import WebrootSolver
from clients.issuers.acme import AcmeIssuer
from schemas.errors import (
    AccountRefused,
    CaRefused,
    CaUnavailable,
    ChallengeNotVisible,
    InvalidReference,
    OrderInvalid,
    OrderLost,
)
from schemas.settings import issuers
from tests.servers.orders import LOOPBACK, Beats, account_key, names_of_ones_own, request
from tests.servers.starters import serve_webroot

Start = Callable[..., Pebble]


class Nowhere:
    """A solver whose web server shows nothing."""

    kind = "http-01"

    def publish(self, proof: Proof) -> None:
        """Show it to nobody."""

    def await_visible(self, proof: Proof, beat: Callable[[], None]) -> None:
        """It never is."""

    def withdraw(self, proof: Proof) -> None:
        """Nothing was shown."""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    stops: list[Callable[[], object]] = []

    def started(*, nonces: int = 0, eab: bool = False, **env: str) -> Pebble:
        port = free_port()
        quiet = {"PEBBLE_WFE_NONCEREJECT": str(nonces), "PEBBLE_AUTHZREUSE": "0", **env}
        ca = pebble(tmp_path / "pebble", PebblePorts(http_01=port), env=quiet, eab=eab)
        web = serve_webroot(ca.webroot, port)
        stops.extend((web.server_close, web.shutdown, ca.stop))
        ca.start()
        return ca

    yield started
    for stop in reversed(stops):
        stop()


def given_for(ca: Pebble, **more: object) -> issuers.AcmeIssuer:
    return issuers.AcmeIssuer.model_validate(
        {
            "kind": "acme",
            "directory": ca.directory,
            "account_key": "file:account",
            "ca_file": str(ca.ca_file),
            "trust_file": str(ca.trust_file),
            "challenge": "web",
            "poll_timeout_s": 30,
            **more,
        }
    )


def issuer_for(ca: Pebble, key: bytes | None = None) -> AcmeIssuer:
    return AcmeIssuer("ca", given_for(ca), key or account_key(), WebrootSolver(ca.webroot), allow=LOOPBACK)


def given_to(given: issuers.AcmeIssuer, ca: Pebble) -> AcmeIssuer:
    return AcmeIssuer("ca", given, account_key(), WebrootSolver(ca.webroot), allow=LOOPBACK)


def issue(issuer: AcmeIssuer) -> bytes:
    names, beat = names_of_ones_own(), Beats()
    url = issuer.place_order(names).url
    issuer.prove_control(url, beat)
    issuer.finalize(url, request(names), beat)
    return issuer.certificate(url)


def test_half_of_all_nonces_refused_changes_nothing(start: Start) -> None:
    ca = start(nonces=50)
    assert b"BEGIN CERTIFICATE" in issue(issuer_for(ca))
    log = ca.log.read_text(encoding="utf-8")
    assert log.count("Issued certificate serial") == 1


def test_every_nonce_refused_ends(start: Start) -> None:
    with pytest.raises(CaUnavailable, match="nonces"):
        issuer_for(start(nonces=100)).place_order(names_of_ones_own())


def test_a_ca_that_is_down_is_unavailable_and_the_order_goes_on_after(start: Start) -> None:
    ca = start()
    issuer, names, beat = issuer_for(ca), names_of_ones_own(), Beats()
    url = issuer.place_order(names).url
    ca.ca.stop()
    uses: tuple[Callable[[], object], ...] = (
        lambda: issuer.order(url),
        lambda: issuer.prove_control(url, beat),
        lambda: issuer.finalize(url, request(names), beat),
        lambda: issuer.place_order(names),
    )
    for use in uses:
        with pytest.raises(CaUnavailable):
            use()
    # It holds its orders in memory: what was ordered is lost, the account is made anew, and a new order works.
    ca.start_ca()
    with pytest.raises(OrderLost):
        issuer.order(url)
    assert b"BEGIN CERTIFICATE" in issue(issuer)


def test_a_challenge_that_nobody_shows_makes_the_order_invalid(start: Start) -> None:
    ca = start()
    issuer = AcmeIssuer("ca", given_for(ca), account_key(), Nowhere(), allow=LOOPBACK)
    url = issuer.place_order(names_of_ones_own()).url
    with pytest.raises(OrderInvalid) as caught:
        issuer.prove_control(url, Beats())
    assert "example.com" in caught.value.detail
    with pytest.raises(OrderInvalid):
        issuer.finalize(url, request(("a.example.com",)), Beats())
    assert issuer.order(url).status == "invalid"


def test_the_challenge_is_taken_away_again(start: Start) -> None:
    ca = start()
    issue(issuer_for(ca))
    assert not shown(ca)


class Unseen(WebrootSolver):
    """A solver whose proofs the CA's view of the world never gets."""

    def await_visible(self, proof: Proof, beat: Callable[[], None]) -> None:  # noqa: ARG002 - the port's
        raise ChallengeNotVisible(f"{proof.name} is not seen.")


class CutShort(Exception):  # noqa: N818 - as an attempt ends that is told to
    pass


def cut_short() -> None:
    raise CutShort


@pytest.mark.parametrize("keeps", [True, False])
def test_a_challenge_that_fails_before_the_ca_was_asked_to_look_is_taken_away(
    start: Start, *, keeps: bool
) -> None:
    ca, kept = start(), list[tuple[Proof, ...]]()
    issuer = AcmeIssuer("ca", given_for(ca), account_key(), Unseen(ca.webroot), allow=LOOPBACK)
    url = issuer.place_order(names_of_ones_own()).url
    with pytest.raises(ChallengeNotVisible):
        issuer.prove_control(url, Beats(), kept.append if keeps else None)
    assert not shown(ca)
    assert len(kept) == keeps
    assert issuer.order(url).status == "pending", "the next attempt goes on with it"


def test_what_the_ca_may_be_about_to_look_at_stays_for_the_next_attempt_or_is_withdrawn(start: Start) -> None:
    ca, kept = start(), list[tuple[Proof, ...]]()
    issuer, names = issuer_for(ca), names_of_ones_own()
    url = issuer.place_order(names).url
    with pytest.raises(CutShort):
        issuer.prove_control(url, cut_short, kept.append)
    (proofs,) = kept
    assert {path.name for path in shown(ca)} == {proof.token for proof in proofs}
    issuer.withdraw(proofs)
    assert not shown(ca)
    issuer.withdraw(proofs)
    other = issuer.place_order(names_of_ones_own()).url
    with pytest.raises(CutShort):
        issuer.prove_control(other, cut_short)
    assert not shown(ca), "nobody would take it away later"


def shown(ca: Pebble) -> list[Path]:
    return [path for path in ca.webroot.rglob("*") if path.is_file()]


def test_another_account_key_does_not_get_at_an_order(start: Start) -> None:
    ca = start()
    url = issuer_for(ca).place_order(names_of_ones_own()).url
    other = issuer_for(ca)
    uses: tuple[Callable[[], object], ...] = (
        lambda: other.order(url),
        lambda: other.prove_control(url, Beats()),
    )
    for use in uses:
        with pytest.raises(AccountRefused):
            use()


def test_the_same_account_key_is_the_same_account(start: Start) -> None:
    ca, key = start(), account_key()
    url = issuer_for(ca, key).place_order(names_of_ones_own()).url
    assert issuer_for(ca, key).order(url).status == "pending"


def test_external_account_binding_is_required_and_checked(start: Start) -> None:
    ca = start(eab=True)
    with pytest.raises(AccountRefused):
        issuer_for(ca).place_order(names_of_ones_own())
    bound = given_for(ca, eab={"key_id": EAB_KEY_ID, "hmac_key": "env:EAB"})
    solver = WebrootSolver(ca.webroot)
    with pytest.raises(AccountRefused):
        AcmeIssuer("ca", bound, account_key(), solver, EAB_HMAC_KEY[::-1], allow=LOOPBACK).place_order(
            names_of_ones_own()
        )
    right = AcmeIssuer("ca", bound, account_key(), solver, EAB_HMAC_KEY, allow=LOOPBACK)
    assert right.place_order(names_of_ones_own()).url


def test_a_request_that_does_not_fit_is_refused_for_good(start: Start) -> None:
    ca = start()
    issuer, names, beat = issuer_for(ca), names_of_ones_own(), Beats()
    url = issuer.place_order(names).url
    issuer.prove_control(url, beat)
    with pytest.raises(CaRefused):
        issuer.finalize(url, request(("else.example.com",)), beat)


def test_a_name_that_the_ca_does_not_issue_for_is_refused(start: Start) -> None:
    with pytest.raises(CaRefused):
        issuer_for(start()).place_order(("not a name",))


def test_a_ca_that_our_trust_does_not_hold_is_not_spoken_to(start: Start) -> None:
    ca = start()
    given = given_for(ca, ca_file=None)
    with pytest.raises(CaUnavailable, match="SSLError"):
        given_to(given, ca).place_order(names_of_ones_own())


def test_a_ca_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    ca = start()
    monkeypatch.setattr("clients.issuers.acme_network.TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        held: list[socket.socket] = []
        listener = threading.Thread(target=lambda: held.append(silent.accept()[0]), daemon=True)
        listener.start()
        given = given_for(ca, directory=f"https://127.0.0.1:{silent.getsockname()[1]}/dir")
        with pytest.raises(CaUnavailable, match="Timeout"):
            given_to(given, ca).place_order(names_of_ones_own())
        listener.join(30)
        for line in held:
            line.close()


EMPTY_PEM = b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"  # pragma: allowlist secret


@pytest.mark.parametrize("key", [b"", b"no key", EMPTY_PEM])
def test_an_account_key_that_is_none_is_named(key: bytes, tmp_path: Path) -> None:
    given = issuers.AcmeIssuer(
        kind="acme", directory="https://ca.invalid/dir", account_key="env:A", challenge="w"
    )
    with pytest.raises(InvalidReference, match="account key"):
        AcmeIssuer("ca", given, key, WebrootSolver(tmp_path))

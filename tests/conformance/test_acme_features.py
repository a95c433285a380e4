"""What an ACME CA offers beside orders: profiles, renewal information, chains, rehearsal, another account key."""

import base64
import ssl
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from cli.dev.servers import Pebble
from clients.challenges.http01 import WebrootSolver
from clients.issuers import Rehearses, SuggestsRenewal, acme_network, acme_renewal_info
from clients.issuers.acme import AcmeIssuer
from clients.issuers.acme_renewal_info import certificate_id
from schemas.errors import AccountRefused, CaUnavailable, CertificateRejected, InvalidSettings
from schemas.settings import issuers
from tests.conftest import Ca
from tests.servers.crashes import killed_at
from tests.servers.freezing import frozen
from tests.servers.orders import LOOPBACK, Beats, account_key, names_of_ones_own, request
from tests.servers.suggestions import suggest, window_of

_PROGRAM = """
from pathlib import Path
from clients.challenges.http01 import WebrootSolver
from clients.issuers.acme import AcmeIssuer
from schemas.settings import issuers
given = issuers.AcmeIssuer.model_validate_json({given!r})
issuer = AcmeIssuer("ca", given, {old!r}, WebrootSolver(Path("unused")), allow=("127.0.0.0/8",))
issuer.change_account_key({new!r})
"""

Made = Callable[..., AcmeIssuer]


def given_for(ca: Pebble | Ca, **more: object) -> issuers.AcmeIssuer:
    usual = {
        "kind": "acme",
        "directory": ca.directory,
        "account_key": "file:account",
        "ca_file": str(ca.ca_file),
        "trust_file": str(ca.trust_file),
        "challenge": "web",
    }
    return issuers.AcmeIssuer.model_validate({**usual, **more})


@pytest.fixture
def made(asking_ca: Pebble) -> Made:
    def make(key: bytes | None = None, following: bytes | None = None, **more: object) -> AcmeIssuer:
        solver = WebrootSolver(asking_ca.webroot)
        return AcmeIssuer(
            "ca",
            given_for(asking_ca, **more),
            key or account_key(),
            solver,
            next_account_pem=following,
            allow=LOOPBACK,
        )

    return make


def issue(issuer: AcmeIssuer, url: str, names: tuple[str, ...]) -> bytes:
    beat = Beats()
    issuer.prove_control(url, beat)
    issuer.finalize(url, request(names), beat)
    return issuer.certificate(url)


def issued(issuer: AcmeIssuer) -> tuple[tuple[str, ...], bytes]:
    names = names_of_ones_own()
    return names, issue(issuer, issuer.place_order(names).url, names)


# --- profiles -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("profile", "days"), [("classic", 90), ("shortlived", 6)])
def test_the_profile_that_the_settings_name_is_ordered(made: Made, profile: str, days: int) -> None:
    leaf = x509.load_pem_x509_certificate(issued(made(profile=profile))[1])
    assert round((leaf.not_valid_after_utc - leaf.not_valid_before_utc) / timedelta(days=1)) == days


def test_a_profile_that_the_ca_does_not_offer_is_told_with_those_that_it_does(made: Made) -> None:
    with pytest.raises(InvalidSettings, match=r"issuers\.ca\.profile.* it offers: classic, shortlived"):
        made(profile="tlsclient").place_order(names_of_ones_own())


# --- renewal information ----------------------------------------------------------------------------


def test_the_window_is_the_cas_and_is_asked_for_again_only_after_retry_after(
    made: Made, asking_ca: Pebble
) -> None:
    issuer = made()
    assert isinstance(issuer, SuggestsRenewal)
    _, chain = issued(issuer)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    suggest(asking_ca, chain, window_of(start, start + timedelta(days=2)))
    window = issuer.renewal_info(chain)
    assert window is not None
    assert (window.start, window.end) == (start, start + timedelta(days=2))
    assert window.explanation_url == "https://ca.example.net/why"
    suggest(asking_ca, chain, window_of(start - timedelta(days=9), start))
    assert issuer.renewal_info(chain) == window  # Pebble's Retry-After is six hours
    another = made().renewal_info(chain)
    assert another is not None
    assert another.end == start


@pytest.mark.parametrize(
    "answer",
    ["no JSON", {}, {"suggestedWindow": {}}, [], {"suggestedWindow": {"start": "soon", "end": "late"}}],
)
def test_renewal_information_that_makes_no_sense_is_an_error_and_no_window(
    made: Made, asking_ca: Pebble, answer: object
) -> None:
    issuer = made()
    _, chain = issued(issuer)
    suggest(asking_ca, chain, answer)
    with pytest.raises(CaUnavailable):
        issuer.renewal_info(chain)
    now = datetime.now(UTC)
    suggest(asking_ca, chain, window_of(now, now))
    with pytest.raises(CaUnavailable, match="ends before"):
        made().renewal_info(chain)


def test_a_ca_that_does_not_answer_is_not_asked_about_every_certificate(
    made: Made, asking_ca: Pebble, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = made()
    chains = [issued(issuer)[1] for _ in range(2)]
    monkeypatch.setattr(acme_network, "TIMEOUT_S", 0.5)
    with frozen(asking_ca.ca), pytest.raises(CaUnavailable):
        issuer.renewal_info(chains[0])
    # It would answer by now, and another process asks it.
    with pytest.raises(CaUnavailable):
        issuer.renewal_info(chains[1])
    monkeypatch.undo()
    assert made().renewal_info(chains[1]) is not None


def test_an_order_names_what_it_replaces_once(made: Made) -> None:
    issuer = made()
    names, chain = issued(issuer)
    placed = issuer.place_replacement(names, chain)
    assert placed.replaces
    issue(issuer, placed.url, names)
    # The CA holds it replaced now, refuses to hear of it again, and gets the order without.
    again = issuer.place_replacement(names, chain)
    assert not again.replaces
    assert issue(issuer, again.url, names)


def test_a_ca_that_stumbles_over_what_is_replaced_gets_the_order_without(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Pebble does over a serial number whose DER begins with a zero: every one does here."""
    issuer = made()
    names, chain = issued(issuer)
    monkeypatch.setattr(acme_renewal_info, "certificate_id", _with_another_zero)
    placed = issuer.place_replacement(names, chain)
    assert not placed.replaces
    assert issue(issuer, placed.url, names)


def _with_another_zero(leaf: x509.Certificate) -> str:
    authority, _, serial = str(certificate_id(leaf)).partition(".")
    padded = b"\0" + base64.urlsafe_b64decode(serial + "=" * (-len(serial) % 4))
    return f"{authority}.{base64.urlsafe_b64encode(padded).decode().rstrip('=')}"


def test_a_certificate_of_another_ca_is_not_named_there(made: Made, pebble: Ca) -> None:
    stranger = AcmeIssuer(
        "other", given_for(pebble), account_key(), WebrootSolver(pebble.webroot), allow=LOOPBACK
    )
    names, chain = issued(stranger)
    issuer = made()
    assert issuer.renewal_info(chain) is None
    assert not issuer.place_replacement(names, chain).replaces


# --- chains, rehearsal ------------------------------------------------------------------------------


def root(ca: Pebble, number: int) -> x509.Certificate:
    trust = ssl.create_default_context(cafile=str(ca.ca_file))
    with urllib.request.urlopen(f"{ca.management}/roots/{number}", context=trust, timeout=60) as answer:  # noqa: S310 - our own https URL
        return x509.load_pem_x509_certificate(answer.read(1 << 20))


@pytest.mark.parametrize("number", [0, 1])
def test_the_chain_that_the_settings_prefer_is_fetched(made: Made, asking_ca: Pebble, number: int) -> None:
    wanted = root(asking_ca, number).subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    last = x509.load_pem_x509_certificates(issued(made(preferred_chain=wanted))[1])[-1]
    assert last.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == wanted


def test_a_chain_that_the_ca_does_not_have_leaves_the_cas_own(made: Made, asking_ca: Pebble) -> None:
    last = x509.load_pem_x509_certificates(issued(made(preferred_chain="Nobody"))[1])[-1]
    assert last.issuer == root(asking_ca, 0).subject


def test_a_rehearsal_goes_through_every_step_at_the_other_ca(
    asking_ca: Pebble, pebble: Ca, tmp_path: Path
) -> None:
    names = names_of_ones_own()
    production = AcmeIssuer(
        "ca",
        given_for(
            pebble,
            ca_file=_both(tmp_path, pebble, asking_ca),
            staging_directory=asking_ca.directory,
            staging_trust_file=str(asking_ca.trust_file),
        ),
        account_key(),
        WebrootSolver(asking_ca.webroot),
        allow=LOOPBACK,
    )
    assert isinstance(production, Rehearses)
    production.rehearse(names, request(names), Beats())
    assert not any(name in pebble.log.read_text(encoding="utf-8", errors="replace") for name in names)


def _both(folder: Path, one: Ca, other: Pebble) -> str:
    file = folder / "both.pem"
    file.write_bytes(one.ca_file.read_bytes() + other.ca_file.read_bytes())
    return str(file)


def test_a_rehearsal_whose_chain_is_not_trusted_is_rejected(
    made: Made, asking_ca: Pebble, pebble: Ca
) -> None:
    names = names_of_ones_own()
    wrong = made(staging_directory=asking_ca.directory, staging_trust_file=str(pebble.trust_file))
    with pytest.raises(CertificateRejected, match="rehearsal"):
        wrong.rehearse(names, request(names), Beats())
    with pytest.raises(InvalidSettings, match="staging_directory"):
        made().rehearse(names, request(names), Beats())


# --- another account key ----------------------------------------------------------------------------


def test_the_account_keeps_its_orders_under_its_new_key(made: Made) -> None:
    old, new = account_key(), account_key()
    before = made(old, new)
    url = before.place_order(names_of_ones_own()).url
    assert made(old).change_account_key(new)
    assert not made(old).change_account_key(new)
    # A worker that has both keys goes on, also with what it had in hand; afterwards the new one suffices.
    assert before.order(url).status == "pending"
    assert made(old, new).order(url).status == "pending"
    assert made(new).order(url).status == "pending"


@pytest.mark.parametrize("point", ["account.rolling", "account.rolled"])
def test_killed_anywhere_either_key_goes_on(
    made: Made, asking_ca: Pebble, point: str, tmp_path: Path
) -> None:
    old, new = account_key(), account_key()
    url = made(old).place_order(names_of_ones_own()).url
    given = given_for(asking_ca).model_dump_json()
    killed_at(point, tmp_path, _PROGRAM.format(given=given, old=old, new=new))
    assert made(old, new).order(url).status == "pending"
    assert made(old).change_account_key(new) == (point == "account.rolling")
    assert made(new).order(url).status == "pending"


def test_no_account_is_made_or_lost_by_a_wrong_key(made: Made) -> None:
    old, new = account_key(), account_key()
    with pytest.raises(AccountRefused, match="neither"):
        made(old).change_account_key(new)
    for key in (old, new):
        made(key).place_order(names_of_ones_own())
    with pytest.raises(AccountRefused, match="account of its own"):
        made(old).change_account_key(new)

"""What every issuer promises, shown on Pebble (which refuses nonces on purpose), the local CA, Vault, and a person."""

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509

from clients.challenges.http01 import WebrootSolver
from clients.issuers import Issuer
from clients.issuers.acme import AcmeIssuer
from clients.issuers.local import LocalCa
from clients.issuers.manual import ManualIssuer
from clients.issuers.vault_pki import VaultPki
from clients.keystores.software import SoftwareKeyStore
from clients.x509 import X509Reader
from schemas.errors import CaRefused, OrderInvalid, OrderLost
from schemas.revocations import RevocationReason
from schemas.settings import issuers
from tests.conftest import Ca, VaultServer
from tests.servers.clerk import Clerk
from tests.servers.crashes import killed_at
from tests.servers.engines import Engine
from tests.servers.oracle import said_by_pebble
from tests.servers.orders import LOOPBACK, Beats, account_key, names_of_ones_own, request

_ACME = """
from pathlib import Path
from clients.challenges.http01 import WebrootSolver
from clients.issuers.acme import AcmeIssuer
from schemas.settings import issuers
given = issuers.AcmeIssuer.model_validate_json({given!r})
solver = WebrootSolver(Path({webroot!r}))
issuer = AcmeIssuer("ca", given, Path({key!r}).read_bytes(), solver, allow=("127.0.0.0/8",))
"""
_LOCAL = """
from pathlib import Path
from clients.issuers.local import LocalCa
from clients.keystores.software import SoftwareKeyStore
from schemas.settings import issuers
given = issuers.LocalIssuer.model_validate_json({given!r})
issuer = LocalCa("ca", given, SoftwareKeyStore("keys", Path({keys!r}), Path({master!r}).read_bytes()))
"""
_VAULT = """
from clients.issuers.vault_pki import VaultPki
from clients.secrets.resolver import Secrets
from clients.secrets.vault_session import VaultSession
from schemas.settings import issuers
given = issuers.VaultPkiIssuer.model_validate_json({given!r})
issuer = VaultPki("ca", given, VaultSession("the issuer ca", given.vault, Secrets()))
"""
_MANUAL = """
from clients.issuers.manual import ManualIssuer
from schemas.settings import issuers
issuer = ManualIssuer("ca", issuers.ManualIssuer.model_validate_json({given!r}))
"""


@dataclass
class Case:
    issuer: Issuer
    again: Callable[[], Issuer]
    """As another process would make it."""
    program: str
    """Python that makes it as `issuer` in another process."""
    issued: Callable[[str], int]
    """How many certificates the CA itself says that it has issued for this order."""
    lost: str
    """An order's URL that the CA does not know."""
    revoked: Callable[[bytes], bool]
    """Whether the CA itself says that this chain's leaf is revoked."""


@pytest.fixture(params=["acme", "local", "manual", "vault-pki"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    match request.param:
        case "acme":
            yield _acme(request.getfixturevalue("pebble"), tmp_path)
        case "vault-pki":
            yield _vault(request.getfixturevalue("vault"), tmp_path)
        case "manual":
            with Clerk(tmp_path / "desk") as clerk:
                yield _manual(clerk, tmp_path)
        case _:
            yield _local(tmp_path)


def _acme(ca: Ca, folder: Path) -> Case:
    given = issuers.AcmeIssuer(
        kind="acme",
        directory=ca.directory,
        account_key=f"file:{folder / 'account'}",
        ca_file=str(ca.ca_file),
        trust_file=str(ca.trust_file),
        challenge="web",
    )
    key = folder / "account"
    key.write_bytes(account_key())

    def make() -> Issuer:
        return AcmeIssuer("ca", given, key.read_bytes(), WebrootSolver(ca.webroot), allow=LOOPBACK)

    def issued(url: str) -> int:
        order_id = url.rpartition("/")[2]
        lines = ca.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return sum("Issued certificate serial" in line and order_id in line for line in lines)

    program = _ACME.format(given=given.model_dump_json(), key=str(key), webroot=str(ca.webroot))
    lost = ca.directory.replace("/dir", "/my-order/nobody")
    return Case(make(), make, program, issued, lost, partial(_revoked_at, ca))


def _revoked_at(ca: Ca, chain: bytes) -> bool:
    config = json.loads((ca.log.parent / "pebble.json").read_text(encoding="utf-8"))["pebble"]
    told = said_by_pebble(config["managementListenAddress"], ca.ca_file, chain)
    return bool(told["Status"] == "Revoked")


def _local(folder: Path) -> Case:
    given = issuers.LocalIssuer(kind="local", path=str(folder / "ca"), key_store="keys")
    master = folder / "master"
    master.write_bytes(os.urandom(32))

    def make() -> LocalCa:
        return LocalCa("ca", given, SoftwareKeyStore("keys", folder / "keys", master.read_bytes()))

    def issued(url: str) -> int:
        return len(list((folder / "ca" / "orders").glob(f"{url.rpartition('/')[2]}.pem")))

    program = _LOCAL.format(given=given.model_dump_json(), keys=str(folder / "keys"), master=str(master))

    def revoked(chain: bytes) -> bool:
        serial = x509.load_pem_x509_certificate(chain).serial_number
        file = folder / "ca" / "crl.der"
        if not file.exists():
            return False
        listed = x509.load_der_x509_crl(file.read_bytes())
        return listed.get_revoked_certificate_by_serial_number(serial) is not None

    return Case(make(), make, program, issued, "local:ca/" + "0" * 32, revoked)


def _manual(clerk: Clerk, folder: Path) -> Case:
    given = issuers.ManualIssuer(
        kind="manual",
        path=str(folder / "orders"),
        folder=str(clerk.folder),
        trust_file=str(clerk.trust_file),
    )

    def make() -> ManualIssuer:
        return ManualIssuer("ca", given)

    program = _MANUAL.format(given=given.model_dump_json())
    return Case(make(), make, program, clerk.signed_for, "manual:ca/" + "0" * 32, lambda _chain: False)


def _vault(server: VaultServer, folder: Path) -> Case:
    engine = Engine.made(server)

    def make() -> VaultPki:
        return engine.issuer(folder, "ca")

    def issued(_: str) -> int:
        return engine.issued()

    program = _VAULT.format(given=engine.settings(folder).model_dump_json())
    return Case(make(), make, program, issued, "vault:ca/" + "0" * 32, engine.revoked)


def test_a_certificate_is_for_the_key_and_names_and_chains_to_the_anchors(case: Case) -> None:
    names, beat = names_of_ones_own(), Beats()
    csr, placed = request(names), case.issuer.place_order(names)
    assert placed.status in {"pending", "ready"}
    assert case.issuer.prove_control(placed.url, beat).status == "ready"
    assert case.issuer.finalize(placed.url, csr, beat).status == "valid"
    facts = X509Reader().read(case.issuer.certificate(placed.url), case.issuer.trust_anchors())
    assert facts.chain_verified
    assert set(facts.names) == set(names)
    assert facts.public_key_sha256 == X509Reader().requested_key(csr)
    assert beat.count
    assert case.issued(placed.url) == 1


def test_every_step_may_be_taken_again_and_by_another_process(case: Case) -> None:
    names, beat = names_of_ones_own(), Beats()
    csr, url = request(names), case.issuer.place_order(names).url
    steps: tuple[Callable[[Issuer], object], ...] = (
        lambda issuer: issuer.prove_control(url, beat),
        lambda issuer: issuer.finalize(url, csr, beat),
        lambda issuer: issuer.certificate(url),
        lambda issuer: issuer.order(url),
    )
    for step in steps:
        assert step(case.issuer) == step(case.issuer) == step(case.again())
    # What lies behind stays as it is.
    assert case.issuer.prove_control(url, beat).status == "valid"
    assert case.issued(url) == 1


def test_finalizing_at_once_issues_once(case: Case) -> None:
    names, beat = names_of_ones_own(), Beats()
    csr, url = request(names), case.issuer.place_order(names).url
    case.issuer.prove_control(url, beat)
    issuers = [case.issuer, case.issuer, case.again(), case.again()]
    with ThreadPoolExecutor(len(issuers)) as threads:
        orders = list(threads.map(lambda issuer: issuer.finalize(url, csr, beat), issuers))
    assert {order.status for order in orders} == {"valid"}
    assert case.issued(url) == 1


def test_orders_at_once_do_not_meet(case: Case) -> None:
    def issue(_: int) -> bool:
        names, beat = names_of_ones_own(), Beats()
        url = case.issuer.place_order(names).url
        case.issuer.prove_control(url, beat)
        case.issuer.finalize(url, request(names), beat)
        return set(X509Reader().read(case.issuer.certificate(url)).names) == set(names)

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(issue, range(6)))


def test_an_order_that_the_ca_does_not_know_is_lost(case: Case) -> None:
    with pytest.raises(OrderLost):
        case.issuer.order(case.lost)


def test_no_certificate_comes_of_an_order_that_is_not_valid(case: Case) -> None:
    url = case.issuer.place_order(names_of_ones_own()).url
    with pytest.raises(OrderInvalid):
        case.issuer.certificate(url)


_AN_ORDERS_END = ("order.finalized", "certificate.downloaded")
KILLED_IN_AN_ORDER = {
    "acme": ("challenge.published", "challenge.answered", *_AN_ORDERS_END),
    "local": _AN_ORDERS_END,
    "manual": ("request.published", *_AN_ORDERS_END),
    "vault-pki": ("request.sending", "request.signed", *_AN_ORDERS_END),
}


@pytest.mark.parametrize(
    ("case", "point"),
    [(kind, point) for kind, points in KILLED_IN_AN_ORDER.items() for point in points],
    indirect=["case"],
)
def test_killed_anywhere_an_order_ends_with_one_certificate(case: Case, point: str, tmp_path: Path) -> None:
    names, beat = names_of_ones_own(), Beats()
    csr, url = request(names), case.issuer.place_order(names).url
    killed_at(point, tmp_path, case.program + _steps(url, csr))
    issuer = case.again()
    issuer.prove_control(url, beat)
    issuer.finalize(url, csr, beat)
    assert set(X509Reader().read(issuer.certificate(url)).names) == set(names)
    assert case.issued(url) == 1


def test_a_revocation_may_be_asked_for_again_and_by_another_process(case: Case) -> None:
    names, beat = names_of_ones_own(), Beats()
    url = case.issuer.place_order(names).url
    case.issuer.prove_control(url, beat)
    case.issuer.finalize(url, request(names), beat)
    chain = case.issuer.certificate(url)
    if isinstance(case.issuer, ManualIssuer):
        with pytest.raises(CaRefused, match="ask the CA that signed"):
            case.issuer.revoke(chain, RevocationReason.SUPERSEDED)
        return
    assert not case.revoked(chain)
    case.issuer.revoke(chain, RevocationReason.SUPERSEDED)
    assert case.revoked(chain)
    case.issuer.revoke(chain, RevocationReason.SUPERSEDED)
    case.again().revoke(chain, RevocationReason.KEY_COMPROMISE)
    assert case.revoked(chain)


@pytest.mark.parametrize("case", ["acme", "vault-pki"], indirect=True)
def test_killed_with_the_cas_answer_a_revocation_may_be_asked_for_again(case: Case, tmp_path: Path) -> None:
    """The local CA's points stand in test_local_revocations.py."""
    names = names_of_ones_own()
    url = case.issuer.place_order(names).url
    case.issuer.prove_control(url, Beats())
    case.issuer.finalize(url, request(names), Beats())
    chain = case.issuer.certificate(url)
    reason = "from schemas.revocations import RevocationReason\n"
    killed_at(
        "revocation.answered",
        tmp_path,
        f"{case.program}{reason}issuer.revoke({chain!r}, RevocationReason.SUPERSEDED)\n",
    )
    assert case.revoked(chain)
    case.again().revoke(chain, RevocationReason.SUPERSEDED)
    assert case.revoked(chain)


def test_what_is_no_certificate_is_not_revoked(case: Case) -> None:
    with pytest.raises(CaRefused):
        case.issuer.revoke(b"no certificate", RevocationReason.UNSPECIFIED)


def _steps(url: str, csr: bytes) -> str:
    return (
        f"issuer.prove_control({url!r}, lambda: None)\n"
        f"issuer.finalize({url!r}, {csr!r}, lambda: None)\n"
        f"issuer.certificate({url!r})\n"
    )

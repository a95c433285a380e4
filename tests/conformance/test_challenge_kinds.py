"""Every kind of challenge against a real CA: names, wildcards and IP addresses are proved."""

import secrets
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509

from cli.dev.process import free_port
from cli.dev.servers import Pebble
from clients.challenges import ChallengeSolver, Proof, tls_alpn01
from clients.challenges.dns01 import Dns01Solver
from clients.challenges.dns_persist01 import DnsPersistSolver
from clients.challenges.http01 import WebrootSolver
from clients.challenges.tls_alpn01 import ACME_IDENTIFIER, PROTOCOL, TlsAlpnSolver
from clients.issuers.acme import AcmeIssuer
from clients.subjects import alternative_names
from clients.x509 import X509Reader
from rules.connections import Bounds
from schemas.errors import DependencyUnavailable, OrderInvalid
from schemas.settings import issuers
from schemas.settings.challenges import Dns01Challenge, DnsPersistChallenge
from tests.servers.bind import FOLLOWED, Bind, unique
from tests.servers.orders import LOOPBACK, Beats, account_key, request

KINDS = ("http-01", "tls-alpn-01", "dns-01", "dns-persist-01")
IN_DNS = ("dns-01", "dns-persist-01")


@dataclass
class Case:
    issuer: AcmeIssuer
    solver: ChallengeSolver
    log: Path

    def issue(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names of what comes of an order, proved, finalized and fetched."""
        beat, csr = Beats(), request(names)
        url = self.issuer.place_order(names).url
        assert self.issuer.prove_control(url, beat).status == "ready"
        self.issuer.finalize(url, csr, beat)
        assert beat.count
        facts = X509Reader().read(self.issuer.certificate(url), self.issuer.trust_anchors())
        assert facts.public_key_sha256 == X509Reader().requested_key(csr)
        assert facts.chain_verified
        return facts.names


def solver_for(kind: str, ca: Pebble, bind: Bind) -> ChallengeSolver:
    if kind == "http-01":
        return WebrootSolver(ca.webroot)
    if kind == "tls-alpn-01":
        return TlsAlpnSolver("127.0.0.1", ca.tls_port)
    if kind == "dns-01":
        given = Dns01Challenge(kind="dns-01", update=bind.update(), visibility=bind.visibility())
        return Dns01Solver(given, bind.resolver, lambda: bind.secret)
    lasting = DnsPersistChallenge(kind="dns-persist-01", update=bind.update(), visibility=bind.visibility())
    return DnsPersistSolver(lasting, bind.resolver, lambda: bind.secret)


@pytest.fixture
def made(asking_ca: Pebble, bind: Bind) -> Callable[[str], Case]:
    def make(kind: str) -> Case:
        given = issuers.AcmeIssuer(
            kind="acme",
            directory=asking_ca.directory,
            account_key="file:account",
            ca_file=str(asking_ca.ca_file),
            trust_file=str(asking_ca.trust_file),
            challenge="one",
        )
        solver = solver_for(kind, asking_ca, bind)
        return Case(AcmeIssuer("ca", given, account_key(), solver, allow=LOOPBACK), solver, asking_ca.log)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_several_names_are_proved_at_once_and_again(made: Callable[[str], Case], kind: str) -> None:
    case, name = made(kind), unique(FOLLOWED)
    assert case.solver.kind == kind
    names = (name, f"www-{name}", f"api-{name}")
    for _ in range(2):
        assert set(case.issue(names)) == set(names)


@pytest.mark.parametrize("kind", IN_DNS)
def test_a_wildcard_is_proved_beside_its_name(made: Callable[[str], Case], kind: str) -> None:
    name = unique(FOLLOWED)
    assert set(made(kind).issue((name, f"*.{name}"))) == {name, f"*.{name}"}


@pytest.mark.parametrize("kind", ["http-01", "tls-alpn-01"])
def test_an_ip_address_is_proved(made: Callable[[str], Case], kind: str) -> None:
    assert made(kind).issue(("127.0.0.1",)) == ("127.0.0.1",)


@pytest.mark.parametrize(("kind", "name"), [("http-01", "*.example.com"), ("dns-01", "127.0.0.1")])
def test_a_kind_that_the_ca_does_not_offer_is_told(made: Callable[[str], Case], kind: str, name: str) -> None:
    case = made(kind)
    url = case.issuer.place_order((name,)).url
    with pytest.raises(OrderInvalid, match=f"offers no {kind}"):
        case.issuer.prove_control(url, Beats())


def handshake(port: int, server_name: str, protocol: str = PROTOCOL) -> x509.Certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60) as line,
        context.wrap_socket(line, server_hostname=server_name) as shaken,
    ):
        assert shaken.selected_alpn_protocol() == PROTOCOL
        der = shaken.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def test_the_responder_shows_each_name_its_own_proof_and_listens_no_longer_than_needed() -> None:
    port = free_port()
    solver, one, other = TlsAlpnSolver("127.0.0.1", port), secrets.token_hex(8), secrets.token_hex(8)
    proofs = [Proof("one.example.com", one, f"{one}.t"), Proof("192.0.2.7", other, f"{other}.t")]
    for proof in (*proofs, *proofs):
        solver.publish(proof)
    for proof, asked in zip(proofs, ("ONE.example.com", "7.2.0.192.in-addr.arpa"), strict=True):
        shown = handshake(port, asked)
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names == alternative_names((proof.name,))
        extension = shown.extensions.get_extension_for_oid(ACME_IDENTIFIER)
        assert extension.critical
    with pytest.raises(ssl.SSLError):
        handshake(port, "stranger.example.com")
    solver.withdraw(proofs[0])
    handshake(port, "7.2.0.192.in-addr.arpa")
    for _ in range(2):
        solver.withdraw(proofs[1])
    with pytest.raises(ConnectionRefusedError):
        handshake(port, "one.example.com")


def test_an_address_that_is_taken_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DependencyUnavailable, match=f"on 127.0.0.1:{port}: Address already in use"):
            TlsAlpnSolver("127.0.0.1", port).publish(Proof("one.example.com", "a", "a.b"))


def test_a_stranger_who_says_nothing_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a stranger cut off meanwhile: else who serves one after the other would pass."""
    monkeypatch.setattr(tls_alpn01, "_BOUNDS", Bounds(wait_s=600))
    port = free_port()
    solver, proof = TlsAlpnSolver("127.0.0.1", port), Proof("one.example.com", "a", "a.b")
    solver.publish(proof)
    with socket.create_connection(("127.0.0.1", port), timeout=60):
        handshake(port, "one.example.com")
        solver.withdraw(proof)
        with pytest.raises(ConnectionRefusedError):
            handshake(port, "one.example.com")

"""Records that prove control: on every authoritative name server before a CA is asked, and gone afterwards."""

import threading
from pathlib import Path

import dns.name
import dns.query
import dns.tsig
import dns.update
import pytest

from clients.challenges import Proof
from clients.challenges.dns01 import Dns01Solver, digest_of
from clients.challenges.dns_persist01 import DnsPersistSolver
from clients.challenges.zones import Zones
from rules.persistent_proofs import LABEL
from schemas.errors import (
    CaRefused,
    ChallengeNotVisible,
    DependencyUnavailable,
    DnsUpdateRefused,
    InvalidReference,
)
from schemas.settings.challenges import Dns01Challenge, DnsPersistChallenge
from schemas.settings.dependencies import ResolverSettings
from tests.servers.bind import DELEGATED, FOLLOWED, KEY_NAME, PRIMARY, SECONDARY, STALE, Bind, unique
from tests.servers.crashes import killed_at
from tests.servers.orders import Beats

ACCOUNT = "https://ca.example.net/account/" + "1" * 300
DOMAINS = ("ca.example.net", "ca.example.org")

_PROGRAM = """
from clients.challenges import Proof
from clients.challenges.dns01 import Dns01Solver
from schemas.settings.challenges import Dns01Challenge
from schemas.settings.dependencies import ResolverSettings
given = Dns01Challenge.model_validate_json({given!r})
resolver = ResolverSettings.model_validate_json({resolver!r})
Dns01Solver(given, resolver, lambda: {secret!r}).publish(Proof({name!r}, "one", "one.thumbprint"))
"""


def dns01(bind: Bind, timeout_s: float = 60.0, **update: object) -> Dns01Challenge:
    return Dns01Challenge(kind="dns-01", update=bind.update(**update), visibility=bind.visibility(timeout_s))


def solver_of(bind: Bind, timeout_s: float = 60.0, **update: object) -> Dns01Solver:
    return Dns01Solver(dns01(bind, timeout_s, **update), bind.resolver, lambda: bind.secret)


def shown(bind: Bind, owner: str, at: str = PRIMARY) -> set[str] | None:
    return Zones(bind.resolver, bind.port).texts(at, dns.name.from_text(owner))


def change(bind: Bind, zone: str, owner: str, kind: str, text: str) -> None:
    key = dns.tsig.Key(KEY_NAME, bind.secret.decode(), "hmac-sha256")
    message = dns.update.UpdateMessage(zone, keyring=key)
    message.add(owner, 5, kind, text)
    dns.query.tcp(message, PRIMARY, timeout=20, port=bind.port)


def proof_of(name: str, key: str = "one") -> Proof:
    return Proof(name, key, f"{key}.thumbprint")


def test_a_record_is_everywhere_when_it_counts_as_visible_and_gone_afterwards(bind: Bind) -> None:
    solver, proof, beat = solver_of(bind), proof_of(unique(FOLLOWED)), Beats()
    for _ in range(2):
        solver.publish(proof)
    solver.await_visible(proof, beat)
    for address in (PRIMARY, SECONDARY):
        assert shown(bind, f"_acme-challenge.{proof.name}", address) == {digest_of(proof)}
    assert beat.count
    for _ in range(2):
        solver.withdraw(proof)
    assert shown(bind, f"_acme-challenge.{proof.name}") == set()


def test_two_proofs_of_one_name_do_not_meet(bind: Bind) -> None:
    """A name and its wildcard are proved at the same place."""
    solver, name = solver_of(bind), unique(FOLLOWED)
    one, other = proof_of(name, "one"), proof_of(name, "other")
    solver.publish(one)
    solver.publish(other)
    assert shown(bind, f"_acme-challenge.{name}") == {digest_of(one), digest_of(other)}
    solver.withdraw(one)
    assert shown(bind, f"_acme-challenge.{name}") == {digest_of(other)}
    solver.withdraw(other)


def test_a_cname_is_followed_into_its_zone(bind: Bind) -> None:
    solver, name, beat = solver_of(bind), unique(FOLLOWED), Beats()
    target = unique(DELEGATED)
    change(bind, FOLLOWED, f"_acme-challenge.{name}.", "CNAME", f"{target}.")
    proof = proof_of(name)
    solver.publish(proof)
    solver.await_visible(proof, beat)
    assert shown(bind, target, SECONDARY) == {digest_of(proof)}
    solver.withdraw(proof)
    assert shown(bind, target) == set()


def test_one_stale_name_server_holds_it_up_and_is_named(bind: Bind) -> None:
    solver, proof = solver_of(bind, timeout_s=5), proof_of(unique(STALE))
    solver.publish(proof)
    with pytest.raises(ChallengeNotVisible, match=r"ns2\.stale\.test") as caught:
        solver.await_visible(proof, Beats())
    assert "ns1.stale.test" not in caught.value.detail
    assert caught.value.type.retryable
    solver.withdraw(proof)


def test_a_late_answer_is_waited_for(bind: Bind) -> None:
    solver, proof, behind = solver_of(bind, timeout_s=100), proof_of(unique(STALE)), threading.Event()
    solver.publish(proof)
    beats = Beats()

    def beat() -> None:
        beats()
        if beats.count > 1:  # the first is before the first look
            behind.set()

    waiting = threading.Thread(target=solver.await_visible, args=(proof, beat))
    waiting.start()
    assert behind.wait(60)
    assert shown(bind, f"_acme-challenge.{proof.name}", SECONDARY) != {digest_of(proof)}
    bind.look_again(STALE)
    waiting.join(90)
    assert not waiting.is_alive()
    assert shown(bind, f"_acme-challenge.{proof.name}", SECONDARY) == {digest_of(proof)}
    solver.withdraw(proof)


def test_a_killed_publication_is_repeated_and_taken_away(bind: Bind, tmp_path: Path) -> None:
    name = unique(FOLLOWED)
    given, resolver = dns01(bind).model_dump_json(), bind.resolver.model_dump_json()
    program = _PROGRAM.format(given=given, resolver=resolver, secret=bind.secret, name=name)
    killed_at("challenge.published", tmp_path, program)
    solver, proof = solver_of(bind), proof_of(name)
    assert shown(bind, f"_acme-challenge.{name}") == {digest_of(proof)}
    solver.publish(proof)
    solver.withdraw(proof)
    assert shown(bind, f"_acme-challenge.{name}") == set()


@pytest.mark.parametrize(
    ("secret", "update", "refused"),
    [
        (b"c2VjcmV0LXRoYXQtaXMtbm90LXRoZS1vbmU=", {}, DnsUpdateRefused),
        (None, {"key_name": "stranger"}, DnsUpdateRefused),
        (None, {"zone": "elsewhere.test"}, DnsUpdateRefused),
        (b"no base64 at all", {}, InvalidReference),
        (None, {"server": "nowhere.invalid"}, DependencyUnavailable),
    ],
)
def test_a_refused_update_is_told_without_the_secret(
    bind: Bind, secret: bytes | None, update: dict[str, object], refused: type[Exception]
) -> None:
    key = bind.secret if secret is None else secret
    solver, proof = (
        Dns01Solver(dns01(bind, 60, **update), bind.resolver, lambda: key),
        proof_of(unique(FOLLOWED)),
    )
    with pytest.raises(refused) as caught:
        solver.publish(proof)
    assert key.decode() not in str(caught.value)
    assert shown(bind, f"_acme-challenge.{proof.name}") == set()


def test_a_dns_that_does_not_answer_is_unavailable(bind: Bind) -> None:
    nobody = ResolverSettings(servers=("127.0.0.3#1",), timeout_s=0.2)
    solver = Dns01Solver(dns01(bind), nobody, lambda: bind.secret)
    with pytest.raises(DependencyUnavailable, match="DNS"):
        solver.publish(proof_of(unique(FOLLOWED)))


def lasting(name: str, *, wildcard: bool = False) -> Proof:
    return Proof(name, wildcard=wildcard, account=ACCOUNT, issuer_domains=DOMAINS)


def persistent(bind: Bind, timeout_s: float = 60.0, *, by_hand: bool = False) -> DnsPersistSolver:
    given = DnsPersistChallenge(
        kind="dns-persist-01",
        update=None if by_hand else bind.update(),
        visibility=bind.visibility(timeout_s),
    )
    return DnsPersistSolver(given, bind.resolver, lambda: bind.secret)


def test_a_lasting_record_is_written_once_and_stays(bind: Bind) -> None:
    solver, proof = persistent(bind), lasting(unique(FOLLOWED))
    for _ in range(2):
        solver.publish(proof)
    solver.await_visible(proof, Beats())
    solver.withdraw(proof)
    written = {f"{DOMAINS[0]}; accounturi={ACCOUNT}"}
    assert shown(bind, f"{LABEL}.{proof.name}", SECONDARY) == written
    with pytest.raises(ChallengeNotVisible):  # it was not written for a wildcard
        persistent(bind, 0.1, by_hand=True).await_visible(lasting(proof.name, wildcard=True), Beats())


def test_who_writes_it_by_hand_is_told_what_to_write(bind: Bind) -> None:
    solver, proof = persistent(bind, 0.1, by_hand=True), lasting(unique(FOLLOWED), wildcard=True)
    solver.publish(proof)
    with pytest.raises(ChallengeNotVisible) as caught:
        solver.await_visible(proof, Beats())
    text = f"{DOMAINS[0]}; accounturi={ACCOUNT}; policy=wildcard"
    owner = f"{LABEL}.{proof.name}."
    assert f'{owner} TXT "{text}"' in caught.value.detail
    change(bind, FOLLOWED, owner, "TXT", f'"{text[:200]}" "{text[200:]}"')
    persistent(bind, by_hand=True).await_visible(proof, Beats())


@pytest.mark.parametrize("domains", [(), ("a; accounturi=x",), ("a\nb",), ("ä.example",)])
def test_a_domain_that_no_record_can_hold_is_refused(bind: Bind, domains: tuple[str, ...]) -> None:
    proof = Proof(unique(FOLLOWED), account=ACCOUNT, issuer_domains=domains)
    with pytest.raises(CaRefused):
        persistent(bind).publish(proof)

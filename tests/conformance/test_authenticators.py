"""Every authenticator keeps the port's promises, and takes none of the bad days for a person."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

from clients.egress import Answer, Request
from clients.identities import Authenticator, Presented
from clients.identities.api_keys import ApiKeys, hash_of, new_key
from clients.identities.client_certificates import ClientCertificates, fingerprint
from clients.identities.key_sets import AGAIN_S, KEPT_S, REFRESHED_S, KeySet
from clients.identities.oidc import LARGEST, LEEWAY_S, Issuer, OidcTokens
from schemas.errors import DependencyUnavailable, EgressRefused, NotAuthenticated, RedoubtError
from schemas.policies import OidcIdentity, Policy, PrincipalEntry
from schemas.principals import Shown

ISSUER = "https://login.example.com/realm"
AUDIENCE = "redoubt"
NOW = datetime(2026, 11, 21, tzinfo=UTC)
OWN, STRANGER = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def jwk(key: ec.EllipticCurvePrivateKey, kid: str) -> dict[str, Any]:
    return {**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


@dataclass
class Login:
    """The issuer behind the egress port: its two documents, and how often they were asked for."""

    keys: list[dict[str, Any]] = field(default_factory=lambda: [jwk(OWN, "k1")])
    says: str = ISSUER
    failing: RedoubtError | None = None
    status: int = 200
    asked: list[str] = field(default_factory=list)
    clock: float = 1000.0

    def send(self, request: Request) -> Answer:
        self.asked.append(request.url)
        assert request.largest <= 1 << 20
        if self.failing is not None:
            raise self.failing
        known: dict[str, Any] = {
            f"{ISSUER}/.well-known/openid-configuration": {"issuer": self.says, "jwks_uri": f"{ISSUER}/keys"},
            f"{ISSUER}/keys": {"keys": self.keys},
        }
        return Answer(self.status, "application/json", json.dumps(known[request.url]).encode())

    def tokens(self) -> OidcTokens:
        keys = KeySet(ISSUER, self, lambda: self.clock)
        return OidcTokens([Issuer(ISSUER, AUDIENCE, ("ES256", "RS256"), keys)])


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    given = {"iss": ISSUER, "sub": "anna-1", "aud": AUDIENCE, "iat": now - 60, "exp": now + 3600, **changes}
    return {name: value for name, value in given.items() if value is not None}


def token(
    key: Any = OWN, kid: str | None = "k1", algorithm: str | None = "ES256", **changes: Any
) -> Presented:
    headers = {} if kid is None else {"kid": kid}
    return Presented(bearer=jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers))


def swapped() -> Presented:
    """HS256, with the issuer's public key as the shared one: PyJWT refuses to make this, so it is made by hand."""

    def part(value: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    public = OWN.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signed = part({"alg": "HS256", "typ": "JWT", "kid": "k1"}) + b"." + part(claims())
    proof = base64.urlsafe_b64encode(hmac.digest(public, signed, hashlib.sha256)).rstrip(b"=")
    return Presented(bearer=(signed + b"." + proof).decode())


def certificate(key: ec.EllipticCurvePrivateKey, serial: int = 1) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "anna")])
    made = x509.CertificateBuilder(name, name, key.public_key(), serial, NOW, NOW + timedelta(days=1))
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415 - for this alone

    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


KEY, KEY_HASH = new_key(NOW + timedelta(days=1))
PEM, OTHER_PEM = certificate(OWN), certificate(STRANGER)
POLICY = Policy(
    installation="test",
    version=1,
    principals={
        "anna": PrincipalEntry(
            oidc=(OidcIdentity(issuer=ISSUER, subject="anna-1"),),
            client_certificates=(fingerprint(PEM),),
            api_keys=(KEY_HASH,),
        ),
        "ben": PrincipalEntry(api_keys=(hash_of("redoubt_" + "9" * 10 + "_" + "b" * 43),)),
    },
)
NOBODY = POLICY.model_copy(update={"principals": {"anna": PrincipalEntry()}})


@dataclass
class Case:
    made: Callable[[], Authenticator]
    shown: Shown
    good: Callable[[], Presented]
    bad: Callable[[], Presented]


CASES = {
    "oidc": Case(lambda: Login().tokens(), Shown.OIDC, token, lambda: token(STRANGER)),
    "api-key": Case(
        lambda: ApiKeys(lambda: NOW),
        Shown.API_KEY,
        lambda: Presented(bearer=KEY),
        lambda: Presented(bearer=KEY[:-1] + ("A" if KEY[-1] != "A" else "B")),
    ),
    "client-certificate": Case(
        ClientCertificates,
        Shown.CLIENT_CERTIFICATE,
        lambda: Presented(client_certificate=PEM),
        lambda: Presented(client_certificate=OTHER_PEM),
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


async def test_what_is_good_makes_the_principal_that_the_policy_names_and_never_one_in_hardware(
    case: Case,
) -> None:
    found = await case.made().principal(POLICY, case.good())
    assert found is not None
    assert (found.name, found.shown, found.hardware) == ("anna", case.shown, False)


async def test_nothing_presented_makes_nobody(case: Case) -> None:
    assert await case.made().principal(POLICY, Presented()) is None


async def test_each_leaves_to_the_others_what_is_theirs(case: Case) -> None:
    for other in CASES.values():
        if other.shown is not case.shown:
            assert await case.made().principal(POLICY, other.good()) is None


async def test_what_is_bad_is_refused_and_not_repeated(case: Case) -> None:
    bad = case.bad()
    with pytest.raises(NotAuthenticated) as refused:
        await case.made().principal(POLICY, bad)
    assert str(bad.bearer or bad.client_certificate) not in str(refused.value)
    assert KEY not in repr(Presented(bearer=KEY))


async def test_who_the_policy_does_not_name_is_nobody(case: Case) -> None:
    with pytest.raises(NotAuthenticated):
        await case.made().principal(NOBODY, case.good())


PAST = int(time.time()) - 24 * 3600
FUTURE = int(time.time()) + 24 * 3600


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (lambda: token(exp=PAST), "has expired"),
        (lambda: token(exp=int(time.time()) - LEEWAY_S - 1), "has expired"),
        (lambda: token(nbf=FUTURE), "is not good yet"),
        (lambda: token(iat=FUTURE), "is not good yet"),
        (lambda: token("", algorithm="none"), "signed in a way"),
        (swapped, "signed in a way"),
        (lambda: token("s" * 64, algorithm="HS256"), "signed in a way"),
        (lambda: token(STRANGER), "signature that is not good"),
        (lambda: token(aud="another"), "another audience"),
        (lambda: token(aud=None), "lacks one of the claims"),
        (lambda: token(exp=None), "lacks one of the claims"),
        (lambda: token(sub=None), "lacks one of the claims"),
        (lambda: token(iss="https://evil.example.com"), "of an issuer"),
        (lambda: token(iss=None), "of an issuer"),
        (lambda: token(kid="k2"), "names a key"),
        (lambda: token(kid=None), "names a key"),
        (lambda: token(sub="ben-1"), "policy names nobody"),
        (lambda: token(padding="x" * LARGEST), "larger than 16 KiB"),
        (lambda: Presented(bearer="no.token"), "can't be read"),
        (lambda: Presented(bearer=""), "can't be read"),
    ],
)
async def test_a_token_s_bad_days(shown: Callable[[], Presented], why: str) -> None:
    with pytest.raises(NotAuthenticated, match=why):
        await Login().tokens().principal(POLICY, shown())


async def test_clocks_may_differ_a_little() -> None:
    soon = int(time.time()) + LEEWAY_S - 5
    assert await Login().tokens().principal(POLICY, token(nbf=soon, iat=soon)) is not None


@pytest.mark.parametrize(
    "login",
    [
        Login(failing=DependencyUnavailable("away.")),
        Login(failing=EgressRefused("a redirect to a private address.")),
        Login(status=500),
        Login(says="https://evil.example.com"),
    ],
)
async def test_a_key_set_that_can_t_be_had_lets_nobody_in(login: Login) -> None:
    tokens = login.tokens()
    for _ in range(3):
        with pytest.raises(DependencyUnavailable):
            await tokens.principal(POLICY, token())
    assert len(login.asked) == 1
    login.failing, login.status, login.says, login.clock = None, 200, ISSUER, login.clock + AGAIN_S
    assert await tokens.principal(POLICY, token()) is not None


async def test_keys_are_kept_and_an_unknown_one_is_asked_for_once_a_minute() -> None:
    login = Login()
    tokens = login.tokens()
    for _ in range(5):
        assert await tokens.principal(POLICY, token()) is not None
        with pytest.raises(NotAuthenticated):
            await tokens.principal(POLICY, token(STRANGER, kid="k2"))
    assert len(login.asked) == 2
    login.keys.append(jwk(STRANGER, "k2"))
    login.clock += AGAIN_S
    assert await tokens.principal(POLICY, token(STRANGER, kid="k2")) is not None
    assert len(login.asked) == 4


async def test_keys_are_used_while_they_are_fetched_again_and_while_their_issuer_is_away() -> None:
    login = Login()
    tokens = login.tokens()
    assert await tokens.principal(POLICY, token()) is not None
    login.failing = DependencyUnavailable("away.")
    while login.clock < 1000 + KEPT_S - REFRESHED_S:
        login.clock += REFRESHED_S
        assert await tokens.principal(POLICY, token()) is not None
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name().startswith("key set")))
    assert len(login.asked) == 2 + (KEPT_S - REFRESHED_S) // REFRESHED_S
    login.clock += REFRESHED_S
    with pytest.raises(DependencyUnavailable):
        await tokens.principal(POLICY, token())


async def test_a_key_that_the_issuer_has_withdrawn_ends_within_the_hour() -> None:
    login = Login()
    tokens = login.tokens()
    assert await tokens.principal(POLICY, token()) is not None
    login.keys[:] = [jwk(STRANGER, "k2")]
    login.clock += KEPT_S
    with pytest.raises(NotAuthenticated):
        await tokens.principal(POLICY, token())


async def test_keys_that_are_not_for_public_signatures_are_ignored() -> None:
    shared = {"kty": "oct", "kid": "k1", "k": base64.urlsafe_b64encode(b"s" * 64).decode()}
    login = Login([shared, {**jwk(OWN, "k1"), "use": "enc"}, "no key"])  # type: ignore[list-item]  # hostile
    with pytest.raises(NotAuthenticated):
        await login.tokens().principal(POLICY, token("s" * 64, algorithm="HS256"))
    with pytest.raises(NotAuthenticated):
        await login.tokens().principal(POLICY, token())


async def test_an_api_key_ends_when_it_says_and_its_end_can_t_be_moved() -> None:
    prefix, end, secret = KEY.split("_", 2)
    late = ApiKeys(lambda: NOW + timedelta(days=1))
    with pytest.raises(NotAuthenticated, match="has expired"):
        await late.principal(POLICY, Presented(bearer=KEY))
    with pytest.raises(NotAuthenticated, match="not one that the policy names"):
        await late.principal(POLICY, Presented(bearer=f"{prefix}_{int(end) + 86_400}_{secret}"))


async def test_an_api_key_is_compared_with_every_known_one_in_constant_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compared: list[str] = []

    def compare(one: str, other: str) -> bool:
        compared.append(one)
        return one == other

    monkeypatch.setattr("clients.identities.api_keys.hmac.compare_digest", compare)
    assert await ApiKeys(lambda: NOW).principal(POLICY, Presented(bearer=KEY)) is not None
    assert len(compared) == 2


async def test_a_renewed_certificate_on_the_same_key_is_the_same_person() -> None:
    renewed = Presented(client_certificate=certificate(OWN, serial=2))
    assert await ClientCertificates.principal(POLICY, renewed) is not None

"""A signed request is good for one thing, by one key, for a while."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.identities.signing_keys import verify
from rules.requests import LONGEST, SKEW, Facing, Spoken, input_digest, mismatch, spoken, statement
from schemas.certificates import CertificateRenewalInput
from schemas.policies import OidcIdentity, PrincipalEntry
from schemas.principals import Act, Principal, Shown, SignedRequest
from tests.unit.policies.people import ANNA, API, FACING, key_of, policy, request

OTHERS = {
    "installation": "other",
    "namespace": "other",
    "act": Act.ABORT,
    "workflow_type": "CertificateRevocation",
    "workflow_id": "certificate-renewal/db",
    "input_sha256": "b" * 64,
}


def now() -> datetime:
    return datetime.now(UTC)


def good(signed: SignedRequest) -> bool:
    return verify(key_of(ANNA, "anna-1"), statement(signed), signed.signature) is not None


def test_a_request_is_good_for_what_it_was_made_for() -> None:
    signed = request()
    assert good(signed)
    assert mismatch(signed, FACING, now()) is None
    assert SignedRequest.model_validate_json(signed.model_dump_json()) == signed


@pytest.mark.parametrize(("name", "other"), OTHERS.items())
def test_a_request_is_refused_for_anything_else(name: str, other: str) -> None:
    facing = Facing(**{**FACING._asdict(), name: other})
    assert name.replace("_", " ") in str(mismatch(request(), facing, now()))


@pytest.mark.parametrize("name", [*OTHERS, "principal", "issued_at", "expires", "nonce", "key_id"])
def test_a_request_with_anything_changed_does_not_verify(name: str) -> None:
    signed = request()
    changed = {
        **OTHERS,
        "principal": Principal(name="ben", shown=Shown.SIGNING_KEY),
        "issued_at": signed.issued_at + timedelta(microseconds=1),
        "expires": signed.expires + timedelta(microseconds=1),
        "nonce": "0" * 32,
        "key_id": "api-1",
    }
    assert not good(signed.model_copy(update={name: changed[name]}))


def test_every_changed_byte_of_a_signature_is_noticed() -> None:
    signed = request()
    raw = base64.b64decode(signed.signature)
    for index in range(len(raw)):
        bad = raw[:index] + bytes([raw[index] ^ 1]) + raw[index + 1 :]
        assert not good(signed.model_copy(update={"signature": base64.b64encode(bad).decode()}))


def test_a_request_has_its_time() -> None:
    signed = request()
    assert mismatch(signed, FACING, signed.issued_at - SKEW) is None
    assert "yet" in str(mismatch(signed, FACING, signed.issued_at - SKEW - timedelta(seconds=1)))
    assert "expired" in str(mismatch(signed, FACING, signed.expires))
    forever = signed.model_copy(update={"expires": signed.issued_at + LONGEST + timedelta(seconds=1)})
    assert "a day" in str(mismatch(forever, FACING, now()))


def test_a_persons_own_key_speaks_for_them_by_name_or_fingerprint() -> None:
    signed = request()
    found = spoken(policy(), signed)
    assert isinstance(found, Spoken)
    assert found == spoken(policy(), signed.model_copy(update={"key_id": "anna-1"}))
    assert found.principal == Principal(name="anna", shown=Shown.SIGNING_KEY)


def test_hardware_is_what_the_policy_says_and_not_what_is_claimed() -> None:
    claimed = Principal(name="anna", shown=Shown.SIGNING_KEY, hardware=True)
    found = spoken(policy(), request(principal=claimed))
    assert isinstance(found, Spoken)
    assert not found.principal.hardware


def test_the_api_vouches_for_whom_it_may_and_never_into_hardware() -> None:
    by_oidc = Principal(name="ben", shown=Shown.OIDC, hardware=True)
    found = spoken(policy(), request(API, by_oidc))
    assert isinstance(found, Spoken)
    assert found.principal == Principal(name="ben", shown=Shown.OIDC)
    assert "vouch" in str(spoken(policy(), request(API, Principal(name="ben", shown=Shown.API_KEY))))
    assert "nobody" in str(spoken(policy(), request(API, Principal(name="carla", shown=Shown.OIDC))))


WAYS: dict[Shown, PrincipalEntry] = {
    Shown.OIDC: PrincipalEntry(oidc=(OidcIdentity(issuer="https://login.example.com", subject="ben"),)),
    Shown.CLIENT_CERTIFICATE: PrincipalEntry(client_certificates=("a" * 64,)),
    Shown.API_KEY: PrincipalEntry(api_keys=("b" * 64,)),
}


@given(
    st.sampled_from([*WAYS]),
    st.sets(st.sampled_from([*WAYS])),
    st.sets(st.sampled_from([*WAYS])),
)
def test_who_vouches_speaks_for_nobody_who_can_not_be_shown_so(
    claimed: Shown, has: set[Shown], vouches_for: set[Shown]
) -> None:
    person = PrincipalEntry.model_validate(
        {name: value for way in has for name, value in WAYS[way].model_dump(exclude_defaults=True).items()}
    )
    made = policy()
    api = made.principals["service:api"].model_copy(update={"vouches_for": frozenset(vouches_for)})
    made = made.model_copy(update={"principals": {**made.principals, "ben": person, "service:api": api}})
    found = spoken(made, request(API, Principal(name="ben", shown=claimed)))
    assert isinstance(found, Spoken) == (claimed in has and claimed in vouches_for)


def test_a_person_vouches_for_nobody_and_a_strange_key_for_nobody_either() -> None:
    assert "vouch" in str(spoken(policy(), request(ANNA, Principal(name="ben", shown=Shown.OIDC))))
    strange = request().model_copy(update={"key_id": "strange"})
    assert "no key" in str(spoken(policy(), strange))
    posing = Principal(name="anna", shown=Shown.SERVICE)
    assert "shown by" in str(spoken(policy(), request(principal=posing)))


def test_an_inputs_digest_counts_its_defaults() -> None:
    typed = CertificateRenewalInput.model_validate({"certificate": "www"})
    spelled = CertificateRenewalInput.model_validate(typed.model_dump())
    assert input_digest(typed) == input_digest(spelled)
    assert input_digest(typed) != input_digest(typed.model_copy(update={"force": True}))

"""Which keys count as held in hardware, and whether an attestation is its maker's word about this very key."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.policies.files import judge
from clients.signers.attestations import fault
from rules.hardware import in_hardware, why_not
from schemas.policies import HardwareRules
from schemas.signing_keys import Attestation, Custody, SigningKey
from tests.servers.fido2_key import Maker, SoftwareKey
from tests.unit.policies.people import ANNA, fido2_signer, policy
from tests.unit.policies.test_chain import written

MAKER, ANOTHER = Maker(), Maker()
SOUND = Custody(
    manufacturer="Example",
    model="HSM",
    serial="1",
    hardware_slot=True,
    local=True,
    always_sensitive=True,
    never_extractable=True,
)

rules = st.builds(
    HardwareRules, software_tokens=st.booleans(), attestation_roots=st.sampled_from([(), ("AAAA",)])
)
custodies = st.builds(
    Custody,
    manufacturer=st.just("Example"),
    model=st.just("HSM"),
    serial=st.just("1"),
    hardware_slot=st.booleans(),
    local=st.booleans(),
    always_sensitive=st.booleans(),
    never_extractable=st.booleans(),
)


def encoded(der: bytes) -> str:
    return base64.b64encode(der).decode()


def in_token(custody: Custody) -> SigningKey:
    public = fido2_signer("anna").key.public_key
    return SigningKey(id="anna-1", kind="pkcs11", public_key=public, custody=custody)


def attested(maker: Maker | None = MAKER, **changes: Any) -> SigningKey:
    return fido2_signer("anna", SoftwareKey(maker=maker)).key.model_copy(update=changes)


@given(rules)
def test_a_key_in_a_file_never_counts(given_rules: HardwareRules) -> None:
    assert why_not(policy(hardware=given_rules), ANNA.key) == "it lies in a file"


TOKEN_KEY = in_token(SOUND)


@given(rules, custodies)
def test_a_key_in_a_token_counts_if_it_never_was_elsewhere(
    given_rules: HardwareRules, custody: Custody
) -> None:
    key = TOKEN_KEY.model_copy(update={"custody": custody})
    stayed = custody.local and custody.always_sensitive and custody.never_extractable
    expected = stayed and (custody.hardware_slot or given_rules.software_tokens)
    assert in_hardware(policy(hardware=given_rules), key) is expected


def test_with_attestation_roots_a_fido2_key_needs_its_makers_word() -> None:
    asking = policy(hardware=HardwareRules(attestation_roots=(encoded(MAKER.root),)))
    assert in_hardware(policy(), attested(None))
    assert not in_hardware(asking, attested(None))
    assert in_hardware(asking, attested())


def test_an_attestation_that_leads_to_a_root_is_good() -> None:
    assert fault(attested(), (encoded(ANOTHER.root), encoded(MAKER.root))) == ""
    assert fault(attested(), ()) == ""
    assert fault(attested(None), (encoded(MAKER.root),)) == ""  # none: the rule judges that


def moved(part: str) -> SigningKey:
    key = attested()
    assert key.attestation is not None
    raw = bytearray(base64.b64decode(getattr(key.attestation, part)))
    raw[len(raw) // 2] ^= 1
    changed = key.attestation.model_copy(update={part: encoded(bytes(raw))})
    return key.model_copy(update={"attestation": changed})


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (attested(ANOTHER), "none of hardware.attestation_roots"),
        (attested(public_key=attested().public_key), "another public key"),
        (attested(relying_party="evil.example.com"), "another relying party"),
        (attested(attestation=Attestation(attestation_object="AAAA", client_data="AAAA")), "can't be read"),
        (moved("attestation_object"), "its attestation"),
        (moved("client_data"), "not signed as its format asks"),
    ],
)
def test_what_is_not_its_makers_word_about_this_key_is_refused(key: SigningKey, told: str) -> None:
    assert told in fault(key, (encoded(MAKER.root),))


def test_an_attestation_by_a_certificate_that_is_no_ca_leads_nowhere() -> None:
    """The leaf of a maker's key can't make further makers."""
    leaf = Maker(private=MAKER.attesting)
    assert "none of" in fault(attested(leaf), (encoded(MAKER.root),))


def test_a_policy_with_an_attestation_that_is_not_good_is_none() -> None:
    people = policy().principals
    root = people["root"].model_copy(update={"signing_keys": (attested(ANOTHER, id="root-1"),)})
    roots = HardwareRules(attestation_roots=(encoded(MAKER.root),))
    _, problems = judge(written(policy(principals={**people, "root": root}, hardware=roots)))
    told = [problem.text for problem in problems]
    assert any("root-1 can't be used" in text for text in told), told
    # The other admin's key has no attestation at all.
    assert any("deputy-1 does not count" in text for text in told), told

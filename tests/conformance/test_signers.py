"""What every signer promises, shown on each of them, with the check that the gate makes of its signatures."""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from fido2.ctap import CtapError

from cli.dev.servers import Token
from clients.keystores.pkcs11 import Pkcs11KeyStore
from clients.keystores.software import SoftwareKeyStore
from clients.secrets.resolver import Secrets
from clients.signers import Signer
from clients.signers.assertions import Assertion
from clients.signers.fido2 import Credential, Fido2Signer, Prompts, enroll
from clients.signers.file import FileSigner
from clients.signers.pkcs11 import TokenSigner
from clients.signers.verifying import SignatureVerifier
from schemas.errors import KeyStoreUnavailable, KeyUnsuitable, PinRejected, RedoubtError
from schemas.signing_keys import SigningKey
from tests.servers.fido2_key import SoftwareKey

RELYING_PARTY = "redoubt.example.com"
STATEMENT = b"redoubt approval vote v1\n{}"
PIN = "planted-canary"


@dataclass
class Case:
    make: Callable[[str], Signer]
    """A signer with a fresh key, under this ID."""
    kind: str


@pytest.fixture(params=["file", "pkcs11", "fido2"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    if request.param == "file":
        return Case(lambda name: FileSigner(name, pem_file(tmp_path / f"{name}.pem"), Secrets()), kind="file")
    if request.param == "fido2":
        return Case(lambda name: fido2_signer(SoftwareKey(), name), kind="fido2")
    token: Token = request.getfixturevalue("softhsm")
    store = Pkcs11KeyStore("hsm", token.module, token.label, lambda: Secrets().resolve(token.pin_ref))

    def on_token(name: str) -> Signer:
        store.generate(name.encode(), name, "EC-P256")
        return TokenSigner(name, store, name.encode())

    return Case(on_token, kind="pkcs11")


def pem_file(path: Path, key: object = None) -> str:
    private = key or ed25519.Ed25519PrivateKey.generate()
    path.touch(mode=0o600)
    path.write_bytes(
        private.private_bytes(  # type: ignore[attr-defined]  # every private key has it
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return f"file:{path}"


def prompts() -> Prompts:
    return Prompts(lambda: PIN, lambda: None)


def enrolled(device: SoftwareKey, name: str = "anna-key") -> Credential:
    return enroll(name, "anna", RELYING_PARTY, device, prompts())


def fido2_signer(device: SoftwareKey, name: str = "anna-key") -> Fido2Signer:
    return Fido2Signer(enrolled(device, name), device, prompts())


def good(key: SigningKey, statement: bytes, signature: bytes) -> bool:
    return SignatureVerifier().proof(key, statement, base64.b64encode(signature).decode()) is not None


def test_what_it_signs_is_good_under_the_key_that_it_names(case: Case) -> None:
    signer = case.make("anna-1")
    signature = signer.sign(STATEMENT)
    assert (signer.key.id, signer.key.kind) == ("anna-1", case.kind)
    assert good(signer.key, STATEMENT, signature)
    assert good(signer.key, b"another", signer.sign(b"another"))


def test_it_is_good_for_no_other_statement_and_no_other_key(case: Case) -> None:
    signer, other = case.make("anna-1"), case.make("ben-1")
    signature = signer.sign(STATEMENT)
    assert not good(signer.key, STATEMENT + b" ", signature)
    assert not good(other.key, STATEMENT, signature)


def test_a_changed_byte_is_noticed(case: Case) -> None:
    signer = case.make("anna-1")
    signature = signer.sign(STATEMENT)
    for place in {0, len(signature) // 2, len(signature) - 1}:
        changed = bytearray(signature)
        changed[place] ^= 1
        assert not good(signer.key, STATEMENT, bytes(changed)), place


@pytest.mark.parametrize("given", ["", "AA==", "not base64!", base64.b64encode(b"{}").decode()])
def test_what_is_no_signature_is_not_good(case: Case, given: str) -> None:
    assert SignatureVerifier().proof(case.make("anna-1").key, STATEMENT, given) is None


def test_a_key_of_another_kind_than_the_policy_says_is_not_good(case: Case) -> None:
    signer = case.make("anna-1")
    signature = signer.sign(STATEMENT)
    kind, relying_party = ("file", "") if case.kind == "fido2" else ("fido2", RELYING_PARTY)
    claimed = signer.key.model_copy(update={"kind": kind, "relying_party": relying_party})
    assert not good(claimed, STATEMENT, signature)


# --- each by itself -------------------------------------------------------------------------------------


def test_a_file_that_holds_no_ed25519_key_is_refused_without_being_quoted(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.touch(mode=0o600)
    canary.write_text(PIN + os.urandom(16).hex())
    p256 = pem_file(tmp_path / "p256", ec.generate_private_key(ec.SECP256R1()))
    for reference in (f"file:{canary}", p256):
        with pytest.raises(KeyUnsuitable) as refused:
            FileSigner("anna-1", reference, Secrets())
        assert PIN not in str(refused.value)
        assert refused.value.__cause__ is None


def test_a_token_signs_by_p256_only(tmp_path: Path) -> None:
    store = SoftwareKeyStore("software", tmp_path / "store", os.urandom(32).hex().encode())
    store.generate(b"1", "a", "EC-P384")
    store.generate(b"2", "b", "EC-P256")
    with pytest.raises(KeyUnsuitable, match="EC-P256 signs approvals"):
        TokenSigner("anna-1", store, b"1")
    assert TokenSigner("anna-1", store, b"2").key.kind == "file"


def test_a_fido2_key_that_has_not_verified_its_owner_is_not_good() -> None:
    device = SoftwareKey(verifies=False)
    signer = fido2_signer(device)
    lying = signer.sign(STATEMENT)
    assert not good(signer.key, STATEMENT, lying)
    device.verifies = True
    assert good(signer.key, STATEMENT, signer.sign(STATEMENT))


def test_a_passkey_that_may_be_copied_is_neither_enrolled_nor_good() -> None:
    device = SoftwareKey()
    signer = fido2_signer(device)
    device.backed_up = True
    assert not good(signer.key, STATEMENT, signer.sign(STATEMENT))
    with pytest.raises(KeyUnsuitable, match="may be copied"):
        enrolled(device)


def test_a_fido2_keys_counter_is_noted() -> None:
    signer, verifier = fido2_signer(SoftwareKey(counter=41)), SignatureVerifier()
    for expected in (42, 43):
        signature = base64.b64encode(signer.sign(STATEMENT)).decode()
        proof = verifier.proof(signer.key, STATEMENT, signature)
        assert proof is not None
        assert proof.counter == expected


def test_an_assertion_for_another_relying_party_or_origin_is_not_good() -> None:
    device = SoftwareKey()
    credential = enrolled(device)
    signature = Fido2Signer(credential, device, prompts()).sign(STATEMENT)
    elsewhere = credential.key.model_copy(update={"relying_party": "evil.example.com"})
    assert not good(elsewhere, STATEMENT, signature)
    given = Assertion.model_validate_json(signature)
    moved = given.client_data.replace(b"https://redoubt", b"https://phished")
    encoded = given.model_dump(mode="json") | {"client_data": base64.b64encode(moved)}
    assert not good(credential.key, STATEMENT, Assertion.model_validate(encoded).model_dump_json().encode())


@pytest.mark.parametrize(
    ("refuses", "error"),
    [
        (CtapError.ERR.UV_INVALID, PinRejected),
        (CtapError.ERR.OPERATION_DENIED, KeyStoreUnavailable),
        (CtapError.ERR.USER_ACTION_TIMEOUT, KeyStoreUnavailable),
    ],
)
def test_a_fido2_key_that_refuses_says_so_in_our_words(
    refuses: CtapError.ERR, error: type[RedoubtError]
) -> None:
    device = SoftwareKey()
    signer = fido2_signer(device)
    device.refuses = refuses
    with pytest.raises(error) as refused:
        signer.sign(STATEMENT)
    assert PIN not in str(refused.value)


def test_another_persons_fido2_key_has_no_such_credential() -> None:
    stranger = Fido2Signer(enrolled(SoftwareKey()), SoftwareKey(), prompts())
    with pytest.raises(KeyStoreUnavailable, match="NO_CREDENTIALS"):
        stranger.sign(STATEMENT)

"""A FIDO2 key that is plugged in: enrolled once, and then asked for an assertion about each vote.

- It verifies its owner (PIN or finger) at every signature, and waits for their touch.
- Which credential it is asked for stands in a small file beside the policy line: nothing in it is secret.
- A PIN goes from the person's terminal to the key and nowhere else.
"""

import base64
import secrets
from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from fido2.client import ClientError, DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.cose import ES256, CoseKey, EdDSA
from fido2.ctap import CtapDevice, CtapError
from fido2.ctap2.pin import ClientPin
from fido2.hid import CtapHidDevice
from fido2.webauthn import (
    AttestationConveyancePreference,
    AuthenticatorAttestationResponse,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialCreationOptions,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRequestOptions,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    UserVerificationRequirement,
)
from pydantic import Base64Bytes

from clients.signers.assertions import Assertion, challenge, may_be_copied, origin
from schemas.contract import Contract
from schemas.errors import KeyStoreUnavailable, KeyUnsuitable, PinRejected, RedoubtError
from schemas.signing_keys import Attestation, SigningKey

_PUBLIC_KEY = PublicKeyCredentialType.PUBLIC_KEY
_ALGORITHMS = (ES256.ALGORITHM, EdDSA.ALGORITHM)
_PIN_REFUSED = frozenset(
    {
        *(CtapError.ERR.PIN_INVALID, CtapError.ERR.PIN_BLOCKED, CtapError.ERR.PIN_AUTH_INVALID),
        *(CtapError.ERR.PIN_AUTH_BLOCKED, CtapError.ERR.UV_INVALID, CtapError.ERR.UV_BLOCKED),
        CtapError.ERR.PIN_NOT_SET,
    }
)


class Credential(Contract):
    """What the enrolment of a key gave: the policy's line about it, and the name by which the key knows it."""

    key: SigningKey
    credential_id: Base64Bytes


class Prompts(UserInteraction):
    """How a person is asked: for the PIN, if the key wants one, and for their touch."""

    def __init__(self, pin: Callable[[], str], touch: Callable[[], None]) -> None:
        self._pin, self._touch = pin, touch

    def prompt_up(self) -> None:
        self._touch()

    def request_pin(self, permissions: ClientPin.PERMISSION, rp_id: str | None) -> str | None:  # noqa: ARG002
        return self._pin()

    def request_uv(self, permissions: ClientPin.PERMISSION, rp_id: str | None) -> bool:  # noqa: ARG002
        self._touch()
        return True


class Fido2Signer:
    def __init__(self, credential: Credential, device: CtapDevice, prompts: UserInteraction) -> None:
        self.key = credential.key
        self._credential_id = credential.credential_id
        self._client = _client(device, credential.key.relying_party, prompts)

    def sign(self, statement: bytes) -> bytes:
        options = PublicKeyCredentialRequestOptions(
            challenge=challenge(statement),
            rp_id=self.key.relying_party,
            allow_credentials=[PublicKeyCredentialDescriptor(type=_PUBLIC_KEY, id=self._credential_id)],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        try:
            given = self._client.get_assertion(options).get_response(0)
        except (ClientError, OSError) as refused:
            raise _said(refused) from refused
        return (
            Assertion(
                credential_id=base64.b64encode(given.raw_id),
                client_data=base64.b64encode(given.response.client_data),
                authenticator_data=base64.b64encode(given.response.authenticator_data),
                signature=base64.b64encode(given.response.signature),
            )
            .model_dump_json()
            .encode()
        )


def plugged_in() -> CtapDevice:
    """The one FIDO2 key that is plugged in. Raises `KeyStoreUnavailable` if there is none, or more than one."""
    found = list(CtapHidDevice.list_devices())
    if len(found) != 1:
        raise KeyStoreUnavailable(
            f"{len(found) or 'No'} FIDO2 keys are plugged in; exactly one is needed, and the right to use it."
        )
    return found[0]


def enroll(
    key_id: str, name: str, relying_party: str, device: CtapDevice, prompts: UserInteraction
) -> Credential:
    """Make a new credential in the key for `name`, who is verified at each use. Raises `KeyStoreUnavailable`."""
    options = PublicKeyCredentialCreationOptions(
        rp=PublicKeyCredentialRpEntity(id=relying_party, name=relying_party),
        user=PublicKeyCredentialUserEntity(id=secrets.token_bytes(16), name=name, display_name=name),
        challenge=secrets.token_bytes(32),
        pub_key_cred_params=[PublicKeyCredentialParameters(type=_PUBLIC_KEY, alg=alg) for alg in _ALGORITHMS],
        attestation=AttestationConveyancePreference.DIRECT,
        authenticator_selection=AuthenticatorSelectionCriteria(
            user_verification=UserVerificationRequirement.REQUIRED
        ),
    )
    try:
        made = _client(device, relying_party, prompts).make_credential(options)
    except (ClientError, OSError) as refused:
        raise _said(refused) from refused
    if may_be_copied(made.response.attestation_object.auth_data):
        raise KeyUnsuitable(
            "This passkey may be copied to other devices; a key that stays in its own is needed."
        )
    data = made.response.attestation_object.auth_data.credential_data
    if data is None:
        raise KeyUnsuitable("The FIDO2 key gave no credential.")
    return Credential(
        key=SigningKey(
            id=key_id,
            kind="fido2",
            public_key=base64.b64encode(_der(data.public_key)).decode(),
            relying_party=relying_party,
            attestation=_attestation(made.response),
        ),
        credential_id=base64.b64encode(data.credential_id),
    )


def _attestation(response: AuthenticatorAttestationResponse) -> Attestation | None:
    """The maker's word; None where the key has given none, or only its own."""
    if not response.attestation_object.att_stmt.get("x5c"):
        return None
    return Attestation(
        attestation_object=base64.b64encode(response.attestation_object).decode(),
        client_data=base64.b64encode(response.client_data).decode(),
    )


def _client(device: CtapDevice, relying_party: str, prompts: UserInteraction) -> Fido2Client:
    collector = DefaultClientDataCollector(origin(relying_party))
    return Fido2Client(device, collector, user_interaction=prompts)


def _der(public_key: CoseKey) -> bytes:
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
    if public_key[3] == ES256.ALGORITHM:
        x, y = (int.from_bytes(public_key[part], "big") for part in (-2, -3))
        key = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    else:
        key = ed25519.Ed25519PublicKey.from_public_bytes(public_key[-2])
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _said(refused: ClientError | OSError) -> RedoubtError:
    """In our words; a PIN is never part of what the library says."""
    cause = getattr(refused, "cause", None)
    if isinstance(cause, CtapError) and cause.code in _PIN_REFUSED:
        return PinRejected(f"The FIDO2 key did not take the PIN or the finger ({cause.code.name}).")
    shown = cause.code.name if isinstance(cause, CtapError) else type(refused).__name__
    return KeyStoreUnavailable(f"The FIDO2 key did not sign ({shown}).")

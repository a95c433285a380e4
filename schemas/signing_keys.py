"""A person's or service's signing key as the policy names it: where its private half is, and what shows that.

| kind | the private half | what shows it |
|---|---|---|
| file | a file or a secret, which whoever reads it can copy | nothing: it never counts as hardware |
| pkcs11 | a token behind PKCS#11 | what the token said when the key was enrolled (`Custody`): its own word |
| fido2 | a FIDO2 key | each assertion's flags (touch, PIN or finger); its maker's word (`Attestation`) |

`rules.hardware` says which of them count.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.contract import Contract
from schemas.principals import Base64, KeyId

Said = Annotated[str, Field(max_length=64)]


class Custody(Contract):
    """What a token said of itself and of a key, by PKCS#11, when the key was enrolled."""

    manufacturer: Said
    model: Said
    serial: Said
    hardware_slot: bool
    """CKF_HW_SLOT: whether the module calls its slot hardware. SoftHSM's does not."""
    local: bool
    """CKA_LOCAL: made in the token, and not brought into it."""
    always_sensitive: bool
    """CKA_ALWAYS_SENSITIVE: its value could never be read."""
    never_extractable: bool
    """CKA_NEVER_EXTRACTABLE: it could never be wrapped and taken out."""


class Attestation(Contract):
    """What a FIDO2 key's maker says of it, signed, as it came at the enrolment (WebAuthn, section 6.5)."""

    attestation_object: Base64
    """CBOR: format, authenticator data with the credential's public key, statement."""
    client_data: Base64


class SigningKey(Contract):
    id: KeyId
    kind: Literal["file", "pkcs11", "fido2"]
    public_key: Base64
    """SubjectPublicKeyInfo (DER) in base64: Ed25519 or P-256."""
    relying_party: Annotated[str, Field(max_length=253)] = ""
    """Of a FIDO2 credential: the relying party ID under which it was made."""
    custody: Custody | None = None
    attestation: Attestation | None = None

    @model_validator(mode="after")
    def _has_what_its_kind_has(self) -> "SigningKey":
        if (self.kind == "fido2") != bool(self.relying_party):
            raise ValueError("`relying_party` is given for fido2 keys, and for no others")
        if (self.kind == "pkcs11") != (self.custody is not None):
            raise ValueError(
                "`custody` is given for pkcs11 keys, and for no others; `redoubt approvals key --token` prints it"
            )
        if self.attestation is not None and self.kind != "fido2":
            raise ValueError("`attestation` is for fido2 keys only")
        return self

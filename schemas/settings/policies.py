"""Which policy holds here, and with which keys this process speaks for itself or for a person."""

from typing import Annotated

from pydantic import Field, model_validator

from schemas.contract import Contract
from schemas.principals import PrincipalName, Sha256
from schemas.references import SecretRef
from schemas.settings.names import Path

TokenKey = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*/([0-9a-fA-F]{2}){1,64}$")]


class PolicySettings(Contract):
    root_sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of the first policy file, by which every later version is judged; None: no policy.",
    )
    sign_as: PrincipalName | None = Field(default=None, description="Whom commands sign for; `--as` wins.")
    sign_with: SecretRef | None = Field(
        default=None, description="The Ed25519 key (PKCS#8) that they sign with; an option of theirs wins."
    )
    sign_with_token: TokenKey | None = Field(
        default=None,
        description="Instead of it, a key in a key store: the store's name, a slash and its CKA_ID.",
    )
    sign_with_fido2: Path | None = Field(
        default=None,
        description="Instead of it, a FIDO2 key: the file that `redoubt approvals enroll` wrote.",
    )
    service_key: SecretRef | None = Field(
        default=None,
        description="The Ed25519 key (PKCS#8) of the workers, by which a sweep starts what is due.",
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> "PolicySettings":
        keys = (self.sign_with, self.sign_with_token, self.sign_with_fido2)
        if sum(key is not None for key in keys) != (self.sign_as is not None):
            raise ValueError(
                "sign_as is given together with one of sign_with, sign_with_token and sign_with_fido2"
            )
        return self

"""Which policy holds here, and with which keys this process speaks for itself or for a person."""

from pydantic import Field, model_validator

from schemas.contract import Contract
from schemas.principals import PrincipalName, Sha256
from schemas.references import SecretRef


class PolicySettings(Contract):
    root_sha256: Sha256 | None = Field(
        default=None,
        description="SHA-256 of the first policy file, by which every later version is judged; None: no policy.",
    )
    sign_as: PrincipalName | None = Field(
        default=None, description="Whom `redoubt start` signs for; `--as` wins."
    )
    sign_with: SecretRef | None = Field(
        default=None, description="The Ed25519 key (PKCS#8) that it signs with; `--key` wins."
    )
    service_key: SecretRef | None = Field(
        default=None,
        description="The Ed25519 key (PKCS#8) of the workers, by which a sweep starts what is due.",
    )

    @model_validator(mode="after")
    def _both_or_none(self) -> "PolicySettings":
        if (self.sign_as is None) != (self.sign_with is None):
            raise ValueError("sign_as and sign_with are given together")
        return self

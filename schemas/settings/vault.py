"""How a process logs in to Vault."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.contract import Contract
from schemas.references import SecretRef
from schemas.settings.names import Path

_Mount = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", max_length=128)]
VaultMount = _Mount


class TokenLogin(Contract):
    kind: Literal["token"]
    token: SecretRef = Field(description="A token of yours: it is renewed here, and never revoked.")


class AppRoleLogin(Contract):
    kind: Literal["approle"]
    mount: _Mount = Field(default="approle", description="Where the auth method is mounted.")
    role: str = Field(
        pattern=r"^[A-Za-z0-9_.-]+$", description="The role's name, which a wrapped secret ID must be of."
    )
    role_id: SecretRef = Field(description="The role's ID.")
    secret_id: SecretRef = Field(description="The secret ID, or the token that wraps it.")
    wrapped: bool = Field(default=True, description="Whether `secret_id` is a wrapping token, good for once.")


class CertificateLogin(Contract):
    kind: Literal["cert"]
    mount: _Mount = Field(default="cert", description="Where the auth method is mounted.")
    role: str = Field(default="", description="The role; empty: the first that fits.")
    certificate_file: Path = Field(description="PEM of the client certificate and its chain.")
    key_file: Path = Field(description="PEM of its key, mode 0600.")


class JwtLogin(Contract):
    kind: Literal["jwt"]
    mount: _Mount = Field(default="jwt", description="Where the auth method is mounted.")
    role: str = Field(min_length=1, description="The role.")
    jwt: SecretRef = Field(description="The token of your platform; read anew at each log-in.")


VaultLogin = Annotated[TokenLogin | AppRoleLogin | CertificateLogin | JwtLogin, Field(discriminator="kind")]


class VaultServer(Contract):
    address: str = Field(
        pattern=r"^(https://|http://(127\.0\.0\.1|localhost|\[::1\])(:|/|$))",
        description="https, or http on loopback for a development server.",
    )
    ca_file: Path | None = Field(default=None, description="Trust for its TLS, if not the system's.")
    namespace: str | None = Field(default=None, description="The namespace, where Vault has such.")
    login: VaultLogin = Field(description="How this process logs in.")

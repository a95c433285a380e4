"""The HTTP API: where it listens, whose tokens it takes, and the key by which it vouches for who asked."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.contract import Contract
from schemas.references import SecretRef
from schemas.settings.names import Name, Path, Port
from schemas.settings.tls import ListenerTls, refuse_plain

Algorithm = Literal["ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"]
"""Asymmetric ones only: with a shared key, whoever can judge a token could make one."""


class OidcIssuerSettings(Contract):
    issuer: Annotated[str, Field(pattern=r"^https://[^\s?#]+$", max_length=500)] = Field(
        description="As tokens have it in `iss`; its key set is found by discovery below this URL."
    )
    audience: Annotated[str, Field(min_length=1, max_length=255)] = Field(
        description="What a token must have in `aud`."
    )
    algorithms: tuple[Algorithm, ...] = Field(
        default=("ES256", "RS256"), min_length=1, description="Tokens signed in another way are refused."
    )
    ca_file: Path | None = Field(
        default=None, description="PEM roots that the issuer's certificate chains to; None: the system's."
    )


class ApiSettings(Contract):
    host: str = Field(default="127.0.0.1", description="Address that the API listens on.")
    port: Port = Field(default=8235, description="Its port.")
    signing_key: SecretRef | None = Field(
        default=None,
        description="The Ed25519 key (PKCS#8) by which it vouches for who asked; the policy names its public half.",
    )
    oidc: dict[Name, OidcIssuerSettings] = Field(
        default_factory=dict, description="Issuers whose bearer tokens it takes."
    )
    tls: ListenerTls | None = Field(
        default=None, description="How it is served with TLS; absent: plain (loopback only)."
    )
    metrics_port: Port | None = Field(default=None, description="Prometheus, on loopback; None: not served.")

    @model_validator(mode="after")
    def _is_not_open_in_plain(self) -> "ApiSettings":
        refuse_plain("the API", self.host, self.tls)
        if len({one.issuer for one in self.oidc.values()}) != len(self.oidc):
            raise ValueError("an issuer is given twice in oidc")
        return self

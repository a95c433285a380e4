"""The Temporal cluster, how payloads are encrypted, and the codec server that shows them."""

from pydantic import Field, model_validator

from schemas.contract import Contract
from schemas.principals import PrincipalName
from schemas.references import SecretRef
from schemas.settings.names import Name, Path, Port
from schemas.settings.tls import ListenerTls, is_loopback, refuse_plain


class TemporalTls(Contract):
    ca_file: Path = Field(description="PEM roots that the frontend's certificate chains to.")
    client_certificate_file: Path | None = Field(default=None, description="PEM chain that we show (mTLS).")
    client_key: SecretRef | None = Field(default=None, description="PEM key of that certificate.")
    server_name: str | None = Field(
        default=None, description="The name to verify, if not the address's host."
    )


class TemporalSettings(Contract):
    address: str = Field(default="127.0.0.1:7233", description="host:port of the Temporal frontend.")
    namespace: str = Field(
        default="default", description="The namespace of every capability not named below."
    )
    namespaces: dict[str, str] = Field(
        default_factory=dict, description="Capability to namespace, where each has its own."
    )
    tls: TemporalTls | None = Field(
        default=None, description="TLS to the frontend; absent: plain (loopback)."
    )
    api_key: SecretRef | None = Field(default=None, description="API key of Temporal Cloud.")
    web_ui: str = Field(default="http://127.0.0.1:8233", description="Base of the links that are printed.")

    def namespace_of(self, capability: str) -> str:
        return self.namespaces.get(capability, self.namespace)


class CodecSettings(Contract):
    key_store: Name = Field(
        default="codec", description="The software key store that holds the payload keys and their versions."
    )
    scope: str = Field(
        default="redoubt",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Bound into every payload: a payload of another scope is refused.",
    )


class CodecServerSettings(Contract):
    host: str = Field(default="127.0.0.1", description="Address that the codec server listens on.")
    port: Port = Field(default=8234, description="Its port.")
    token: SecretRef | None = Field(
        default=None,
        description="A bearer token that its users share; with a policy they better show who they are.",
    )
    token_principal: PrincipalName | None = Field(
        default=None,
        description="With a policy: the principal whom that token shows; None: nobody, so it opens nothing.",
    )
    secret_path: SecretRef | None = Field(
        default=None,
        description="An unguessable path that stands for the token where the Web UI can send none (loopback only).",
    )
    secret_path_principal: PrincipalName | None = Field(
        default=None,
        description="With a policy: the principal whom the secret path shows; None: nobody, so it opens nothing.",
    )
    allowed_origins: tuple[str, ...] = Field(
        default=("http://127.0.0.1:8233", "http://localhost:8233"),
        description="Pages that may call it (CORS).",
    )

    tls: ListenerTls | None = Field(
        default=None, description="How it is served with TLS; absent: plain (loopback only)."
    )
    metrics_port: Port | None = Field(default=None, description="Prometheus, on loopback; None: not served.")

    @model_validator(mode="after")
    def _authenticated(self) -> "CodecServerSettings":
        if self.secret_path is not None and not is_loopback(self.host):
            raise ValueError("secret_path is for a codec server on loopback; elsewhere use token and TLS")
        refuse_plain("a codec server", self.host, self.tls)
        return self

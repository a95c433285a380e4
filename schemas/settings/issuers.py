"""Who issues certificates."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from schemas.contract import Contract
from schemas.references import SecretRef
from schemas.settings.names import Name, Path
from schemas.settings.vault import VaultMount, VaultServer

CAA_DOMAIN = r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+$"


class ExternalAccountBinding(Contract):
    key_id: str = Field(description="The key identifier that the CA gave.")
    hmac_key: SecretRef = Field(description="As the CA gave it: base64url without padding.")


class AcmeIssuer(Contract):
    kind: Literal["acme"]
    directory: str = Field(pattern=r"^https://", description="The ACME directory (RFC 8555).")
    account_key: SecretRef = Field(description="PKCS#8 PEM of the account's P-256 key.")
    next_account_key: SecretRef | None = Field(
        default=None, description="While the account's key is changed: the key that it changes to."
    )
    contact: tuple[str, ...] = Field(default=(), description="Where the CA writes to: mailto:…")
    ca_file: Path | None = Field(
        default=None, description="Trust for the directory's own TLS, if not the system's."
    )
    trust_file: Path | None = Field(
        default=None, description="Roots that what it issues must chain to; None: the system's."
    )
    eab: ExternalAccountBinding | None = Field(default=None, description="Where the CA asks for one.")
    challenge: Name = Field(description="Which of `challenges` proves control.")
    caa_identities: tuple[Annotated[str, Field(pattern=CAA_DOMAIN, max_length=253)], ...] = Field(
        default=(),
        description="The CA's names in CAA records, [letsencrypt.org]; empty: those that its directory gives.",
    )
    profile: str | None = Field(
        default=None,
        max_length=64,
        description="Which of the CA's profiles is ordered; None: the CA chooses.",
    )
    preferred_chain: str | None = Field(
        default=None,
        max_length=256,
        description="Common name of the issuer that the chain shall end with, where the CA offers several.",
    )
    staging_directory: str | None = Field(
        default=None, pattern=r"^https://", description="The CA's directory for rehearsals."
    )
    staging_trust_file: Path | None = Field(
        default=None, description="Roots that what the rehearsal's CA issues must chain to."
    )
    poll_timeout_s: PositiveFloat = Field(
        default=120.0, description="How long each step of an order may take."
    )


class LocalIssuer(Contract):
    kind: Literal["local"]
    path: Path = Field(description="Folder of the CA certificate and of what it issued.")
    key_store: Name = Field(description="Which of `key_stores` holds the CA's key.")
    common_name: str = Field(default="Redoubt local CA", description="The CA's name in what it issues.")
    valid_days: PositiveInt = Field(default=30, description="How long its certificates are valid.")
    crl_url: str | None = Field(
        default=None,
        pattern=r"^http://[^\s]+$",
        max_length=1024,
        description="Where you serve its crl.der, as its certificates say it; http, for a CRL is signed itself.",
    )
    crl_days: PositiveInt = Field(default=7, description="How long a revocation list of its is valid.")


class VaultPkiIssuer(Contract):
    kind: Literal["vault-pki"]
    path: Path = Field(description="Folder of the orders: Vault keeps none.")
    vault: VaultServer = Field(description="Which Vault, and how to log in.")
    mount: VaultMount = Field(default="pki", description="Where the PKI engine is mounted.")
    role: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="The role that signs: its key is never used.")
    issuer: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9_.-]+$",
        description="The role's issuer, whose root is trusted.",
    )
    trust_file: Path | None = Field(
        default=None,
        description="Roots that what it issues must chain to; None: the root in Vault's own chain.",
    )
    valid_days: PositiveInt | None = Field(default=None, description="How long; None: as the role says.")


class ManualIssuer(Contract):
    kind: Literal["manual"]
    path: Path = Field(description="Folder of the orders and of what came of them: ours alone.")
    folder: Path = Field(
        description="Folder where people find requests/ to be signed, and drop chains into inbox/."
    )
    trust_file: Path = Field(description="Roots that what they bring must chain to.")


IssuerSettings = Annotated[
    AcmeIssuer | LocalIssuer | ManualIssuer | VaultPkiIssuer, Field(discriminator="kind")
]

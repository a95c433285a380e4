"""The one settings file, as `redoubt config example` prints it with every value explained.

Secrets stand here as references only (`schemas.references`). Paths are absolute, or relative to the folder
of the settings file (resolved when it is loaded). Times are seconds unless a name says otherwise.
"""

from collections.abc import Collection
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from schemas.contract import Contract
from schemas.references import SecretRef

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
"""A name that we give: lower-case letters, digits and hyphens, so that it fits into IDs and paths."""

DnsName = Annotated[
    str, Field(pattern=r"^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$", max_length=253)
]
Port = Annotated[int, Field(ge=1, le=65535)]
Path = Annotated[str, Field(min_length=1, max_length=4096, json_schema_extra={"format": "path"})]
KeyAlgorithm = Literal["EC-P256", "EC-P384", "RSA-2048", "RSA-3072"]


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
        default=None, description="Bearer token of its users, until API authentication exists (at scale)."
    )
    secret_path: SecretRef | None = Field(
        default=None,
        description="An unguessable path that stands for the token where the Web UI can send none (loopback only).",
    )
    allowed_origins: tuple[str, ...] = Field(
        default=("http://127.0.0.1:8233", "http://localhost:8233"),
        description="Pages that may call it (CORS).",
    )

    @model_validator(mode="after")
    def _authenticated(self) -> "CodecServerSettings":
        if self.secret_path is not None and self.host not in {"127.0.0.1", "::1", "localhost"}:
            raise ValueError("secret_path is for a codec server on loopback; elsewhere use token and TLS")
        return self


class StoreSettings(Contract):
    url: str = Field(
        default="sqlite:///redoubt.sqlite",
        description="SQLAlchemy URL of the records: sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE.",
    )
    password: SecretRef | None = Field(default=None, description="Password of the database user.")

    @field_validator("url")
    @classmethod
    def _without_password(cls, url: str) -> str:
        authority = url.partition("://")[2].partition("/")[0]
        if ":" in authority.rpartition("@")[0]:
            raise ValueError("the URL holds a password: put it behind `password` as a reference")
        return url


class EvidenceSettings(Contract):
    origin: str = Field(
        default="redoubt.invalid/log",
        pattern=r"^[^\s+]{1,255}$",
        description="The log's name in its checkpoints (C2SP tlog-checkpoint): a schema-less URL of yours.",
    )
    log_key: SecretRef = Field(
        default="file:secrets/log-key",
        description="32 bytes in hexadecimal: the seed of the log's Ed25519 key.",
    )
    spool: Path = Field(default="spool", description="Folder where undo is recorded while the store is away.")
    spool_key: SecretRef = Field(
        default="file:secrets/spool-key", description="32 bytes in hexadecimal: signs what is spooled."
    )
    sequence_every_s: PositiveFloat = Field(default=1.0, description="How often rows move into the log.")


class Pkcs11Store(Contract):
    kind: Literal["pkcs11"]
    module: Path = Field(description="The vendor's PKCS#11 module, e.g. /usr/lib/softhsm/libsofthsm2.so")
    token: str = Field(description="The token's label.")
    pin: SecretRef = Field(description="The token's user PIN; a wrong one is never tried again.")


class SoftwareStore(Contract):
    kind: Literal["software"]
    path: Path = Field(description="Folder of the encrypted key files, mode 0700.")
    master_key: SecretRef = Field(description="32 bytes in hexadecimal.")


KeyStoreSettings = Annotated[Pkcs11Store | SoftwareStore, Field(discriminator="kind")]


class ExternalAccountBinding(Contract):
    key_id: str = Field(description="The key identifier that the CA gave.")
    hmac_key: SecretRef = Field(description="As the CA gave it: base64url without padding.")


class AcmeIssuer(Contract):
    kind: Literal["acme"]
    directory: str = Field(pattern=r"^https://", description="The ACME directory (RFC 8555).")
    account_key: SecretRef = Field(description="PKCS#8 PEM of the account's P-256 key.")
    contact: tuple[str, ...] = Field(default=(), description="Where the CA writes to: mailto:…")
    ca_file: Path | None = Field(
        default=None, description="Trust for the directory's own TLS, if not the system's."
    )
    trust_file: Path | None = Field(
        default=None, description="Roots that what it issues must chain to; None: the system's."
    )
    eab: ExternalAccountBinding | None = Field(default=None, description="Where the CA asks for one.")
    challenge: Name = Field(description="Which of `challenges` proves control.")
    poll_timeout_s: PositiveFloat = Field(
        default=120.0, description="How long each step of an order may take."
    )


class LocalIssuer(Contract):
    kind: Literal["local"]
    path: Path = Field(description="Folder of the CA certificate and of what it issued.")
    key_store: Name = Field(description="Which of `key_stores` holds the CA's key.")
    common_name: str = Field(default="Redoubt local CA", description="The CA's name in what it issues.")
    valid_days: PositiveInt = Field(default=30, description="How long its certificates are valid.")


IssuerSettings = Annotated[AcmeIssuer | LocalIssuer, Field(discriminator="kind")]


class WebrootChallenge(Contract):
    kind: Literal["http-01"]
    webroot: Path = Field(description="Folder that a web server serves on port 80 of every name.")


class KeyPolicy(Contract):
    algorithm: KeyAlgorithm = Field(default="EC-P256", description="Algorithm and size of the key.")
    holder: str = Field(
        default="target",
        description="`target`: each target makes its own key, which never leaves it; else the name of a key store.",
    )


class VerifyAt(Contract):
    """Where a TLS handshake shows what this target serves; the SNI is the certificate's first name."""

    host: str = Field(description="Host or address of the service.")
    port: Port = Field(default=443, description="Its TLS port.")
    trust_file: Path | None = Field(default=None, description="Roots to verify against; None: the issuer's.")


class FilesTarget(Contract):
    """Versions in a folder, one link to the current one, and a command that makes the service read it."""

    kind: Literal["files"] = "files"
    name: Name = Field(description="The target's name, unique in this certificate.")
    directory: Path = Field(description="Folder of the versions; `current` in it is what the service reads.")
    reload: tuple[str, ...] = Field(
        min_length=1, description="Program and arguments, run without a shell: [nginx, -s, reload]."
    )
    check: tuple[str, ...] = Field(default=(), description="Run before the reload: [nginx, -t].")
    pin_file: Path | None = Field(
        default=None, description="The token's PIN, as the service reads it, for keys that stay in a token."
    )
    reload_timeout_s: float = Field(default=30.0, gt=0, le=60, description="How long it may take.")
    keep_versions: PositiveInt = Field(default=3, description="How many earlier versions stay in the folder.")
    verify: VerifyAt


class RenewalPolicy(Contract):
    before_days: PositiveInt = Field(
        default=30, description="Renew so long before the end of a long certificate."
    )
    fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=1 / 3, description="Renew when this share of a short certificate's lifetime is left."
    )


class CertificateSettings(Contract):
    names: tuple[DnsName, ...] = Field(
        min_length=1, max_length=100, description="DNS names that it must carry; the first is its SNI."
    )
    issuers: tuple[Name, ...] = Field(
        min_length=1, description="In order: the next is used when one can't issue."
    )
    key: KeyPolicy = Field(default=KeyPolicy(), description="What key it has, and who makes and holds it.")
    targets: tuple[FilesTarget, ...] = Field(min_length=1, description="What serves it.")
    waves: tuple[PositiveInt, ...] = Field(
        default=(1,), description="How many targets each wave switches; the last number repeats."
    )
    verify_timeout_s: float = Field(default=30.0, gt=0, le=120, description="To show it, once reloaded.")
    grace_s: float = Field(
        default=0.0, ge=0, description="How long the old certificate is kept after the switch."
    )
    issuer_patience_s: PositiveFloat = Field(
        default=900.0, description="How long one issuer is tried before the next one, or before giving up."
    )
    target_patience_s: PositiveFloat = Field(
        default=120.0, description="How long one target is tried before everything is put back."
    )
    undo_patience_s: PositiveFloat = Field(
        default=3600.0, description="How long putting a target back is tried before a person is needed."
    )
    renew: RenewalPolicy = Field(default=RenewalPolicy(), description="When it is due.")
    approvers: tuple[str, ...] = Field(default=(), description="Who may approve what needs approval.")

    @field_validator("targets")
    @classmethod
    def _named_once(cls, targets: tuple[FilesTarget, ...]) -> tuple[FilesTarget, ...]:
        if len({target.name for target in targets}) != len(targets):
            raise ValueError("two targets have the same name")
        return targets


class PoolSettings(Contract):
    """How one worker pool runs; the slots of pools that drive hardware are fixed in `workers.pools`."""

    max_activities: PositiveInt = Field(default=50, description="Activities at a time.")
    max_workflow_tasks: PositiveInt = Field(default=100, description="Workflow tasks at a time.")
    graceful_shutdown_s: PositiveFloat = Field(default=30.0, description="Time to end after SIGTERM.")
    health_port: Port | None = Field(default=None, description="/livez, /readyz; None: not served.")
    metrics_port: Port | None = Field(default=None, description="Prometheus; None: not served.")
    deployment: str | None = Field(default=None, description="Worker deployment name; None: unversioned.")
    build_id: str | None = Field(default=None, description="Version of this code within the deployment.")
    versioning: Literal["PINNED", "AUTO_UPGRADE"] = Field(
        default="PINNED", description="PINNED: a run ends where it began."
    )


class ScheduleSettings(Contract):
    workflow: str = Field(description="The workflow type: a sweep, which carries no authority.")
    input: dict[str, object] = Field(
        default_factory=dict, description="Its input; `redoubt schema TYPE` shows it."
    )
    every_s: PositiveInt | None = Field(default=None, description="Start it this often; either this or cron.")
    cron: str | None = Field(
        default=None, description="Start it at these times: minute hour day month weekday."
    )
    time_zone: str = Field(default="UTC", description="Time zone of cron (IANA).")
    jitter_s: float = Field(default=0.0, ge=0, description="Each start is delayed by up to this.")
    catchup_window_s: PositiveInt = Field(
        default=600, description="What was missed longer ago is not started."
    )
    pause_on_failure: bool = Field(default=False, description="Stop the schedule when a run fails.")
    paused: bool = Field(default=False, description="Whether it is stopped.")

    @model_validator(mode="after")
    def _one_clock(self) -> "ScheduleSettings":
        if (self.every_s is None) == (self.cron is None):
            raise ValueError("a schedule has either every_s or cron")
        return self


class TelemetrySettings(Contract):
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="The least severe records that are written."
    )
    log_format: Literal["json", "console"] = Field(default="json", description="For programs or for people.")
    otlp_endpoint: str | None = Field(
        default=None, description="OTLP over HTTP; None: no span leaves the process."
    )


class Settings(Contract):
    installation: Name = Field(
        default="redoubt", description="This installation's name, in IDs and in the evidence."
    )
    temporal: TemporalSettings = Field(default=TemporalSettings(), description="The Temporal cluster.")
    codec: CodecSettings = Field(default=CodecSettings(), description="How payloads are encrypted.")
    codec_server: CodecServerSettings = Field(
        default=CodecServerSettings(), description="Decodes for the Web UI."
    )
    store: StoreSettings = Field(default=StoreSettings(), description="Our own records.")
    evidence: EvidenceSettings = Field(default=EvidenceSettings(), description="The evidence log.")
    key_stores: dict[Name, KeyStoreSettings] = Field(
        default_factory=dict, description="Where private keys live."
    )
    issuers: dict[Name, IssuerSettings] = Field(default_factory=dict, description="Who issues certificates.")
    challenges: dict[Name, WebrootChallenge] = Field(
        default_factory=dict, description="How names are validated."
    )
    certificates: dict[Name, CertificateSettings] = Field(
        default_factory=dict, description="The inventory: every certificate that is renewed."
    )
    pools: dict[Name, PoolSettings] = Field(default_factory=dict, description="How worker pools run.")
    schedules: dict[Name, ScheduleSettings] = Field(
        default_factory=dict, description="What starts by itself."
    )
    telemetry: TelemetrySettings = Field(default=TelemetrySettings(), description="Logs and spans.")

    @model_validator(mode="after")
    def _names_resolve(self) -> "Settings":
        wrong: list[str] = []

        def known(where: str, name: str, among: Collection[str]) -> None:
            if name not in among:
                defined = ", ".join(among) or "none"
                wrong.append(f"{where} names {name!r}, which is not defined; defined are: {defined}")

        for name, issuer in self.issuers.items():
            if isinstance(issuer, AcmeIssuer):
                known(f"issuers.{name}.challenge", issuer.challenge, self.challenges)
            else:
                known(f"issuers.{name}.key_store", issuer.key_store, self.key_stores)
        for name, certificate in self.certificates.items():
            for issuer_name in certificate.issuers:
                known(f"certificates.{name}.issuers", issuer_name, self.issuers)
            if certificate.key.holder != "target":
                known(f"certificates.{name}.key.holder", certificate.key.holder, self.key_stores)
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

"""The one settings file, as `redoubt config example` prints it with every value explained.

Secrets stand here as references only (`schemas.references`). Paths are absolute, or relative to the folder
of the settings file (resolved when it is loaded). Times are seconds unless a name says otherwise.
"""

from collections.abc import Collection, Iterator

from pydantic import Field, model_validator

from schemas.contract import Contract
from schemas.settings.api import ApiSettings
from schemas.settings.certificates import CertificateSettings, ReplacementPolicy
from schemas.settings.challenges import ChallengeSettings, unprovable
from schemas.settings.dependencies import BreakerSettings, EgressSettings, ResolverSettings
from schemas.settings.issuers import AcmeIssuer, IssuerSettings, LocalIssuer
from schemas.settings.key_stores import KeyStoreSettings
from schemas.settings.names import Name
from schemas.settings.policies import PolicySettings
from schemas.settings.processes import PoolSettings, ScheduleSettings, TelemetrySettings
from schemas.settings.records import EvidenceSettings, StoreSettings
from schemas.settings.temporal import CodecServerSettings, CodecSettings, TemporalSettings


class Settings(Contract):
    installation: Name = Field(
        default="redoubt", description="This installation's name, in IDs and in the evidence."
    )
    temporal: TemporalSettings = Field(default=TemporalSettings(), description="The Temporal cluster.")
    codec: CodecSettings = Field(default=CodecSettings(), description="How payloads are encrypted.")
    codec_server: CodecServerSettings = Field(
        default=CodecServerSettings(), description="Decodes for the Web UI."
    )
    api: ApiSettings = Field(default=ApiSettings(), description="The HTTP API.")
    store: StoreSettings = Field(default=StoreSettings(), description="Our own records.")
    evidence: EvidenceSettings = Field(default=EvidenceSettings(), description="The evidence log.")
    key_stores: dict[Name, KeyStoreSettings] = Field(
        default_factory=dict, description="Where private keys live."
    )
    issuers: dict[Name, IssuerSettings] = Field(default_factory=dict, description="Who issues certificates.")
    distrusted_issuers: tuple[Name, ...] = Field(
        default=(),
        description="Issuers that are not used any more, and whose certificates each sweep replaces from another.",
    )
    replacement: ReplacementPolicy = Field(
        default=ReplacementPolicy(), description="In which waves that is done, and when it stops."
    )
    challenges: dict[Name, ChallengeSettings] = Field(
        default_factory=dict, description="How names are validated."
    )
    certificates: dict[Name, CertificateSettings] = Field(
        default_factory=dict, description="The inventory: every certificate that is renewed."
    )
    breakers: BreakerSettings = Field(
        default=BreakerSettings(), description="When a dependency that fails is left alone for a while."
    )
    egress: EgressSettings = Field(
        default=EgressSettings(), description="Where requests may go whose URL came from outside."
    )
    resolver: ResolverSettings = Field(
        default=ResolverSettings(), description="Which name servers are asked for CAA records."
    )
    policy: PolicySettings = Field(default=PolicySettings(), description="Who may do what.")
    pools: dict[Name, PoolSettings] = Field(default_factory=dict, description="How worker pools run.")
    schedules: dict[Name, ScheduleSettings] = Field(
        default_factory=dict, description="What starts by itself."
    )
    telemetry: TelemetrySettings = Field(default=TelemetrySettings(), description="Logs and spans.")

    @model_validator(mode="after")
    def _names_resolve(self) -> "Settings":
        wrong = [
            f"{where} names {name!r}, which is not defined; defined are: {', '.join(among) or 'none'}"
            for where, name, among in self._references()
            if name not in among
        ]
        for name, certificate in self.certificates.items():
            for issuer_name in certificate.issuers:
                wrong += self._not_provable(name, certificate.names, issuer_name)
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def _references(self) -> Iterator[tuple[str, str, Collection[str]]]:
        """Where a name is used, the name, and where it must be defined."""
        for name, issuer in self.issuers.items():
            if isinstance(issuer, AcmeIssuer):
                yield f"issuers.{name}.challenge", issuer.challenge, self.challenges
            elif isinstance(issuer, LocalIssuer):
                yield f"issuers.{name}.key_store", issuer.key_store, self.key_stores
        for name in self.distrusted_issuers:
            yield "distrusted_issuers", name, self.issuers
        for name, certificate in self.certificates.items():
            for issuer_name in certificate.issuers:
                yield f"certificates.{name}.issuers", issuer_name, self.issuers
            if certificate.key.holder != "target":
                yield f"certificates.{name}.key.holder", certificate.key.holder, self.key_stores

    def _not_provable(self, certificate: str, names: tuple[str, ...], issuer_name: str) -> list[str]:
        issuer = self.issuers.get(issuer_name)
        challenge = self.challenges.get(issuer.challenge) if isinstance(issuer, AcmeIssuer) else None
        why = None if challenge is None else unprovable(names, challenge.kind)
        return [] if why is None else [f"certificates.{certificate}.names {why} (of issuer {issuer_name})"]

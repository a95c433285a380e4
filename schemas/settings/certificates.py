"""The inventory: every certificate that is renewed."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from schemas.contract import Contract
from schemas.settings.key_stores import KeyPolicy
from schemas.settings.names import Name, SubjectName
from schemas.settings.targets import MAKES_ITS_KEY, TargetSettings


class RenewalPolicy(Contract):
    before_days: PositiveInt = Field(
        default=30, description="Renew so long before the end of a long certificate."
    )
    fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=1 / 3, description="Renew when this share of a short certificate's lifetime is left."
    )
    retry_s: PositiveFloat = Field(
        default=900.0,
        description="After a failure the sweep waits so long, twice as long after the next; at most a day.",
    )


class ReplacementPolicy(Contract):
    """How what a distrusted issuer has issued is replaced, all certificates together."""

    waves: tuple[PositiveInt, ...] = Field(
        default=(1, 5, 25),
        min_length=1,
        max_length=100,
        description="How many certificates each wave replaces, most exposed first; the last number repeats.",
    )
    stop_after: PositiveInt = Field(
        default=2, description="No further wave begins once so many renewals have failed."
    )
    pause_s: float = Field(
        default=0.0, ge=0, le=3600, description="Between two waves: what the next issuer's limits ask for."
    )


class AfterGrace(Contract):
    """What becomes of what was replaced, once the grace is over and nothing is put back any more."""

    revoke: bool = Field(default=False, description="Revoke the previous certificates at their CA.")
    destroy_keys: bool = Field(
        default=False, description="Destroy the keys of earlier renewals, wherever they were made."
    )


class CertificateSettings(Contract):
    names: tuple[SubjectName, ...] = Field(
        min_length=1,
        max_length=100,
        description="DNS names, wildcards and IP addresses that it must carry; the first is its SNI.",
    )
    issuers: tuple[Name, ...] = Field(
        min_length=1, description="In order: the next is used when one can't issue."
    )
    key: KeyPolicy = Field(default=KeyPolicy(), description="What key it has, and who makes and holds it.")
    targets: tuple[TargetSettings, ...] = Field(min_length=1, description="What serves it.")
    waves: tuple[PositiveInt, ...] = Field(
        default=(1,), description="How many targets each wave switches; the last number repeats."
    )
    verify_timeout_s: float = Field(default=30.0, gt=0, le=120, description="To show it, once reloaded.")
    grace_s: float = Field(
        default=0.0, ge=0, description="How long the old certificate is kept after the switch."
    )
    after_grace: AfterGrace = Field(default=AfterGrace(), description="What becomes of the old one then.")
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

    @field_validator("targets")
    @classmethod
    def _named_once(cls, targets: tuple[TargetSettings, ...]) -> tuple[TargetSettings, ...]:
        if len({target.name for target in targets}) != len(targets):
            raise ValueError("two targets have the same name")
        return targets

    @model_validator(mode="after")
    def _key_where_it_is_needed(self) -> "CertificateSettings":
        for target in self.targets:
            if self.key.holder != "target" and target.kind in MAKES_ITS_KEY:
                raise ValueError(f"target {target.name} ({target.kind}) needs `key.holder: target`")
        return self

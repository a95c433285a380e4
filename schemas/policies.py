"""The policy file: who somebody is, what they may do, who must agree, and when.

A policy is one version in a chain: it names the SHA-256 of the file before it, and it holds once enough of the
admins named there have signed its exact bytes (`clients.policies`). Scopes are shell-style patterns over the
subject: `*`, `*.example.com`, `web-[0-9]`. Times are seconds. No secret stands here: keys are public, API keys hashed.
"""

from datetime import time
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AwareDatetime,
    BeforeValidator,
    Field,
    JsonValue,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from schemas.contract import Contract
from schemas.limits import Limit
from schemas.principals import (
    UNKNOWN_NAME,
    Base64,
    KeyId,
    Principal,
    PrincipalName,
    Sha256,
    Shown,
    SignedRequest,
)
from schemas.scopes import Capability, Pattern, WorkflowTypeName
from schemas.signing_keys import SigningKey


class Role(StrEnum):
    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMIN = "admin"


class OidcIdentity(Contract):
    issuer: Annotated[str, Field(pattern=r"^https://[^\s]+$", max_length=500)]
    subject: Annotated[str, Field(min_length=1, max_length=255)]


class HardwareRules(Contract):
    """Which keys count as held in hardware, as far as it is for the policy's signers to judge."""

    software_tokens: bool = False
    """Whether keys in tokens that are software (SoftHSM) count too: for trials."""
    attestation_roots: tuple[Base64, ...] = ()
    """Certificates (DER) of makers of FIDO2 keys. Empty: no attestation is asked for."""


class PrincipalEntry(Contract):
    """A person or a service, and every way in which it can show that it is."""

    oidc: tuple[OidcIdentity, ...] = ()
    client_certificates: tuple[Sha256, ...] = ()
    """SHA-256 of the SubjectPublicKeyInfo."""
    api_keys: tuple[Sha256, ...] = ()
    """SHA-256 of each key; keys are made with 256 random bits, so no slower hash is needed."""
    signing_keys: tuple[SigningKey, ...] = ()
    vouches_for: frozenset[Literal[Shown.OIDC, Shown.CLIENT_CERTIFICATE, Shown.API_KEY]] = frozenset()
    """A service that authenticates people (the API): its keys may sign for who has shown themselves to it so."""

    def ways(self, shown: Shown) -> tuple[OidcIdentity | str, ...]:
        """What it can show to who vouches, of this kind."""
        kinds: dict[Shown, tuple[OidcIdentity | str, ...]] = {
            Shown.OIDC: self.oidc,
            Shown.CLIENT_CERTIFICATE: self.client_certificates,
            Shown.API_KEY: self.api_keys,
        }
        return kinds.get(shown, ())


class Grant(Contract):
    role: Role
    principals: Annotated[tuple[PrincipalName, ...], Field(min_length=1)]
    capability: Capability = "*"
    scope: Pattern = "*"


class ApproverGroup(Contract):
    name: PrincipalName
    approvers: Annotated[tuple[PrincipalName, ...], Field(min_length=1)]


class ApprovalRule(Contract):
    """What needs approval, and whose. The first rule that fits is the one that holds."""

    capability: Capability
    workflow_types: Annotated[tuple[WorkflowTypeName, ...], Field(min_length=1)] = ("*",)
    scopes: Annotated[tuple[Pattern, ...], Field(min_length=1)] = ("*",)
    needed: PositiveInt
    """M: how many different people must agree."""
    groups: Annotated[tuple[ApproverGroup, ...], Field(min_length=1)]
    """In the order of escalation: the next group is asked too when the ones before it have not answered."""
    deputies: dict[PrincipalName, PrincipalName] = Field(default_factory=dict)
    """Approver to deputy: either may vote, and together they count once."""
    expires_s: PositiveFloat = 86_400
    escalate_after_s: PositiveFloat = 3_600

    @model_validator(mode="after")
    def _can_be_met(self) -> "ApprovalRule":
        approvers = {name for group in self.groups for name in group.approvers}
        if len(approvers) < self.needed:
            raise ValueError(f"{self.needed} must agree, and only {len(approvers)} approvers are named")
        if strangers := sorted(set(self.deputies) - approvers):
            raise ValueError(f"deputies are named for {', '.join(strangers)}, who approve nothing here")
        return self


Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAYS: tuple[Day, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _quoted(value: object) -> object:
    """YAML reads 22:30 as the number 1350."""
    if isinstance(value, int | float):
        raise ValueError('put the time in quotes: "22:30"')  # noqa: TRY004 - pydantic takes this for a complaint
    return value


Clock = Annotated[time, BeforeValidator(_quoted)]


class Window(Contract):
    """When a start may begin. What no window fits may begin at any time; what some fit, only inside one of them."""

    capability: Capability
    workflow_types: Annotated[tuple[WorkflowTypeName, ...], Field(min_length=1)] = ("*",)
    scope: Pattern = "*"
    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    begin: Clock = time(0, 0)
    end: Clock = time(0, 0)
    """Not included; before or at `begin`: on the next day."""
    time_zone: str = "UTC"

    @field_validator("time_zone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            raise ValueError("no such time zone; give an IANA name like Europe/Berlin") from None
        return name


class Policy(Contract):
    installation: Annotated[str, Field(min_length=1, max_length=64)]
    version: PositiveInt
    previous_sha256: Sha256 | None = None
    """Of the exact bytes of the version before; None in version 1."""
    admins_needed: PositiveInt = 1
    """How many of this version's admins must sign the next one."""
    hardware: HardwareRules = HardwareRules()
    principals: dict[PrincipalName, PrincipalEntry]
    grants: tuple[Grant, ...] = ()
    approvals: tuple[ApprovalRule, ...] = ()
    windows: tuple[Window, ...] = ()
    limits: tuple[Limit, ...] = ()

    @model_validator(mode="after")
    def _is_a_link_of_the_chain(self) -> "Policy":
        if (self.version == 1) != (self.previous_sha256 is None):
            raise ValueError("version 1 follows nothing; each later version gives `previous_sha256`")
        return self

    @model_validator(mode="after")
    def _unknown_is_no_entry(self) -> "Policy":
        if UNKNOWN_NAME in self.principals:
            raise ValueError("`unknown` stands for everybody who is not known; it can't be a principal")
        return self


class Decision(Contract):
    """Whether somebody may, and why, in words for them and for the evidence."""

    yes: bool
    why: str


class Authorization(Contract):
    """By whom an operation was started and under which policy, as the gate keeps it with the operation."""

    workflow_type: str
    given: dict[str, JsonValue]
    """The run's input, whose digest the request names."""
    request: SignedRequest | None
    """None: it came unsigned, so from `UNKNOWN`."""
    requester: Principal
    on_behalf_of: Principal | None = None
    """Whose operation it was that started this one; None: no other has."""
    policy_version: PositiveInt
    policy_sha256: Sha256
    at: AwareDatetime
    """When the request was judged first."""


class Signature(Contract):
    """One line of `policy.yaml.sig`: a detached signature over the policy's exact bytes."""

    key_id: KeyId
    signature: Base64

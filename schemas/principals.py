"""Who asks: the principal of an act, and the signed statement by which it travels.

Nothing here is believed because it is written down. A `Principal` inside a `SignedRequest` is a claim, which the
gate holds against the policy: the key must be one of the person's own, or one that may vouch for people who have
shown themselves in this way. What comes without a request is from `UNKNOWN`.
"""

import base64
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from schemas.contract import Contract

NAME = r"[a-z0-9]([a-z0-9:._@-]{0,98}[a-z0-9])?"
PrincipalName = Annotated[str, Field(pattern=f"^{NAME}$")]
"""As the policy file names it: `anna`, `service:certificates`, `anna@example.com`."""

KeyId = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("this is not base64") from None
    return text


Base64 = Annotated[str, Field(min_length=4, max_length=8192), AfterValidator(_base64)]

UNKNOWN_NAME: Final = "unknown"

REQUEST_HEADER: Final = "redoubt-principal"
"""Where a signed request travels; a workflow that starts a child with one gives it as a memo of this name."""


class Shown(StrEnum):
    """How somebody has shown who they are."""

    OIDC = "oidc"
    CLIENT_CERTIFICATE = "client-certificate"
    API_KEY = "api-key"  # pragma: allowlist secret
    SIGNING_KEY = "signing-key"
    SERVICE = "service"
    UNKNOWN = "unknown"


class Act(StrEnum):
    """Everything that a role may be needed for; `rules.roles` says which role does which."""

    READ = "read"
    DECODE = "decode"
    EXPORT = "export"
    VERIFY = "verify"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    END_GRACE = "end-grace"
    APPROVE = "approve"
    REJECT = "reject"
    CHANGE_POLICY = "change-policy"


class Principal(Contract):
    name: PrincipalName
    shown: Shown
    hardware: bool = False
    """Whether this act was signed by a key that is held in hardware."""

    @model_validator(mode="after")
    def _unknown_is_nobody(self) -> "Principal":
        if (self.name == UNKNOWN_NAME) != (self.shown is Shown.UNKNOWN):
            raise ValueError(
                "the name `unknown` is for those who have not shown who they are, and for nobody else"
            )
        return self


UNKNOWN: Final = Principal(name=UNKNOWN_NAME, shown=Shown.UNKNOWN)
"""Whoever started something without a signed request: from the Web UI, by a Schedule, by Temporal's own command."""


class SignedRequest(Contract):
    """The statement that goes with a start or an update, in the header `redoubt-principal`.

    `rules.requests.statement` gives the bytes that `signature` is over: everything here but the signature itself.
    """

    installation: Annotated[str, Field(min_length=1, max_length=64)]
    namespace: Annotated[str, Field(min_length=1, max_length=255)]
    act: Act
    workflow_type: Annotated[str, Field(min_length=1, max_length=200)]
    workflow_id: Annotated[str, Field(min_length=1, max_length=500)]
    run_id: Annotated[str, Field(max_length=64)] = ""
    """Of an update: the one run that it is for. A start has none: its run is yet to be made."""
    on_behalf_of: Annotated[str, Field(max_length=200)] = ""
    """Of a service's start: the operation in whose course it starts this one. Who has asked for that, asks for this."""
    input_sha256: Sha256
    """Of the canonical JSON of the validated input, defaults and all (`rules.requests.input_digest`)."""
    principal: Principal
    issued_at: AwareDatetime
    expires: AwareDatetime
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    key_id: KeyId
    signature: Base64

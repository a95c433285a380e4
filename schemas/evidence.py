"""The evidence log's vocabulary: what is recorded before and after each effect.

An entry is canonical JSON (RFC 8785) under 64 KiB, with hashes of what is larger, and never a secret.
`what` is one of `Event`, a closed list: rules and reports can name each.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, JsonValue

from schemas.contract import Contract

MAX_ENTRY_BYTES = 64 * 1024


class Kind(StrEnum):
    """`intent` is committed before an effect, `outcome` after it, each once for a step; `note` has no effect."""

    INTENT = "intent"
    OUTCOME = "outcome"
    NOTE = "note"


class Event(StrEnum):
    OPERATION_OPENED = "operation.opened"
    OPERATION_CLOSED = "operation.closed"
    OPERATION_HELD_BACK = "operation.held_back"
    OPERATION_UNDO = "operation.undo"
    STEP_FAILED = "step.failed"
    KEY_GENERATED = "key.generated"
    CERTIFICATE_REHEARSED = "certificate.rehearsed"
    CERTIFICATE_ORDERED = "certificate.ordered"
    CERTIFICATE_PROOFS_KEPT = "certificate.proofs_kept"
    CERTIFICATE_AUTHORIZED = "certificate.authorized"
    CERTIFICATE_FINALIZED = "certificate.finalized"
    CERTIFICATE_ISSUED = "certificate.issued"
    CERTIFICATE_REJECTED = "certificate.rejected"
    CERTIFICATE_STAGED = "certificate.staged"
    CERTIFICATE_SWITCHED = "certificate.switched"
    CERTIFICATE_VERIFIED = "certificate.verified"
    CERTIFICATE_GRACE_ENDED = "certificate.grace_ended"
    CERTIFICATE_RESTORED = "certificate.restored"
    CERTIFICATE_REVOKED = "certificate.revoked"
    KEY_DESTROYED = "key.destroyed"
    PAYLOAD_DECODED = "payload.decoded"
    CODEC_KEY_ROTATED = "codec.key_rotated"
    SWEEP_DECIDED = "sweep.decided"
    SWEEP_FOUND = "sweep.found"
    AUTHORIZATION_ALLOWED = "authorization.allowed"
    AUTHORIZATION_REFUSED = "authorization.refused"
    POLICY_APPLIED = "policy.applied"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_VOTED = "approval.voted"
    APPROVAL_GRANTED = "approval.granted"
    APPROVAL_REFUSED = "approval.refused"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_CONSUMED = "approval.consumed"


class Entry(Contract):
    """One line of evidence, before it has a place in the log.

    `operation`, `step` and `kind` are its identity: a second attempt at the same step reuses it.
    """

    operation: Annotated[str, Field(min_length=1, max_length=200)]
    step: Annotated[str, Field(min_length=1, max_length=200)]
    kind: Kind
    what: Event
    subject: Annotated[str, Field(max_length=500)]
    who: Annotated[str, Field(max_length=500)]
    """The principal that asked for it, or the service that did it by itself (`service:certificates`)."""
    run: Annotated[str, Field(max_length=500)] = ""
    """`workflow ID/run ID`, empty outside Temporal."""
    correlation_id: Annotated[str, Field(max_length=64)] = ""
    at: AwareDatetime
    facts: dict[str, JsonValue] = Field(default_factory=dict)
    """What was done, in digests and names: never a secret and never a private key."""

"""Approvals: what is to be approved, what an approver signs, and how the count stands.

`ApprovalRequest` says exactly what will be done; `rules.approvals.digest` names it. A `Vote` is a signed word about
one digest and about nothing else. Neither is believed by itself: the gate (`activities.approving`) holds both against
the signed policy and the operation's own record.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field, JsonValue, PositiveInt

from schemas.contract import Contract
from schemas.policies import ApprovalRule
from schemas.principals import Base64, KeyId, Principal, PrincipalName, Sha256

OperationId = Annotated[str, Field(min_length=1, max_length=200)]


class ApprovalRequest(Contract):
    """Exactly what will be done, for whom, under which rule and until when."""

    installation: Annotated[str, Field(min_length=1, max_length=64)]
    namespace: Annotated[str, Field(min_length=1, max_length=255)]
    workflow_type: Annotated[str, Field(min_length=1, max_length=200)]
    workflow_id: Annotated[str, Field(max_length=500)]
    operation: OperationId
    """Survives a reset, a continue-as-new and a run that was ended; another run's plan has another one."""
    subject: Annotated[str, Field(max_length=500)]
    plan: dict[str, JsonValue]
    """As the operation's record has it: the steps read the very same bytes."""
    requester: Principal
    on_behalf_of: Principal | None = None
    """For whom the requester, a service, has asked; None: for nobody else."""
    policy_version: PositiveInt
    rule: ApprovalRule
    asked_at: AwareDatetime
    expires: AwareDatetime


class Verdict(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class Vote(Contract):
    """The argument of the updates `approve` and `reject`."""

    request: Sha256
    """The request's digest, as the approver's own command has computed it from what it showed."""
    verdict: Verdict
    approver: PrincipalName
    key_id: KeyId
    at: AwareDatetime
    signature: Base64
    """Over `rules.approvals.statement`; of a FIDO2 key, its assertion (`clients.signers.fido2`)."""


class Cast(Contract):
    """A vote as the store has it."""

    number: PositiveInt
    """The store's own count: later votes have higher numbers, whatever their clocks say."""
    vote: Vote
    received: AwareDatetime


class State(StrEnum):
    WAITING = "waiting"
    GRANTED = "granted"
    REFUSED = "refused"
    EXPIRED = "expired"


class Tally(Contract):
    state: State
    needed: PositiveInt
    approved_by: tuple[PrincipalName, ...] = ()
    rejected_by: PrincipalName | None = None
    asked: tuple[str, ...] = ()
    """The groups that may act by now."""
    may_act: tuple[PrincipalName, ...] = ()
    """Who may still vote now."""
    escalates: AwareDatetime | None = None
    """When the next group is asked too."""


class Approval(Contract):
    """A request with its digest and its count: what the query `approval` answers."""

    digest: Sha256
    request: ApprovalRequest
    tally: Tally


class ApprovalAsk(Contract):
    """The argument of the activity that asks for an operation's approval, or looks how it stands."""

    operation: OperationId


class Ballot(Contract):
    """The argument of the activity that takes a vote."""

    operation: OperationId
    vote: Vote

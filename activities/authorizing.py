"""The gate for roles: an operation begins, and each of its effects begins, only by who may start it.

Whoever can write to Temporal can start runs and activities, complete them, and send any header. So:

- The first activity admits the run: the signed request that came with it is held against this installation,
  namespace, workflow type, workflow ID and input, against the policy's keys, roles and windows, and is taken once,
  with the count of a FIDO2 key that has signed it.
  What comes without a request is from `UNKNOWN` and may do what the policy grants to `unknown`.
- What it found is recorded with the operation, with the policy's version. The activity of each effect reads it from
  the records and judges it again with that version: signature, role, and that it is this operation's own.
- Undoing asks nobody: what was begun under authority is put back, whatever has happened to that authority since.
- An installation without a policy is open, as `redoubt doctor` says. One whose policy can't be verified is shut.
- Each decision is evidence: yes once an operation and in every effect's intent, no once for each run or step.
"""

import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from pydantic import JsonValue, ValidationError
from temporalio import activity

from activities.policies import Held, Policies, count_of
from clients.identities import Verifier
from rules.policies import may_begin
from rules.requests import Facing, Spoken, input_digest, mismatch, spoken, statement
from rules.roles import allowed
from schemas.catalogue import WORKFLOW_TYPES
from schemas.contract import WorkflowInput
from schemas.errors import NotAuthorized, RedoubtError
from schemas.evidence import Entry, Event, Kind
from schemas.policies import Authorization
from schemas.principals import UNKNOWN, Act, Principal, SignedRequest
from store import Journal
from store.policies import PolicyRecords

STEP: Final = "authorization"
"""The journal's step that holds by whom an operation was started."""

_UNDO: Final = "undo/"


class Asked(NamedTuple):
    """What is to be judged: a start, as the records or the activity at hand have it."""

    workflow_type: str
    workflow_id: str
    given: WorkflowInput
    request: SignedRequest | None
    at: datetime


class Gate:
    def __init__(  # noqa: PLR0913, PLR0917 - it asks all of these
        self,
        policies: Policies,
        records: PolicyRecords,
        journal: Journal,
        installation: str,
        verify: Verifier,
        presented: Callable[[], bytes | None],
    ) -> None:
        """`presented`: the header `redoubt-principal` of the activity that runs now, as it came."""
        self._policies = policies
        self._records = records
        self._journal = journal
        self._installation = installation
        self._verify = verify
        self._presented = presented

    def admit(
        self, workflow_type: str, given: WorkflowInput, taken_up: str | None = None
    ) -> Authorization | None:
        """By the first activity, before anything is opened; None in an installation without a policy.

        `taken_up`: the operation that an earlier run has left, which this one goes on with. Raises `NotAuthorized`.
        """
        held = self._held(given.subject)
        if held is None:
            return None
        info, now = activity.info(), datetime.now(UTC)
        where = f"authorization/{info.workflow_id}/{info.workflow_run_id}"
        try:
            asked = Asked(workflow_type, info.workflow_id or "", given, self._request(), now)
            requester = self._judged(held, asked)
            self._in_its_window(held, asked)
            self._take(held, asked.request, taken_up)
        except NotAuthorized as refused:
            self._refuse(where, "start", given.subject, refused)
            raise
        return Authorization(
            workflow_type=workflow_type,
            given=given.model_dump(mode="json"),
            request=asked.request,
            requester=requester,
            policy_version=held.policy.version,
            policy_sha256=held.sha256,
            at=now,
        )

    def record(self, operation: str, authorization: Authorization | None) -> None:
        """Keep with the operation by whom it was started; what is there already stays."""
        if authorization is None:
            return
        facts = _facts(authorization)
        begun = self._journal.begin(operation, STEP, Event.AUTHORIZATION_ALLOWED, facts)
        if begun.result is None:
            kept = authorization.model_dump(mode="json")
            self._journal.finish(operation, STEP, Event.AUTHORIZATION_ALLOWED, facts, kept)

    def confirm(self, operation: str, step: str) -> dict[str, JsonValue]:
        """By the activity of an effect, before its intent; returns what the intent says of it.

        Raises `NotAuthorized`; nothing of the step has then begun.
        """
        if step.startswith(_UNDO):
            return {}
        held = self._held(operation)
        if held is None:
            return {}
        try:
            return self._confirmed(operation)
        except NotAuthorized as refused:
            self._refuse(operation, step, self._journal.operation(operation).subject, refused)
            raise

    def _confirmed(self, operation: str) -> dict[str, JsonValue]:
        opened, kept = self._journal.operation(operation), self._journal.result(operation, STEP)
        if kept is None:
            raise NotAuthorized("Nobody who may has started this operation since the policy holds.")
        try:
            known = Authorization.model_validate(kept)
            given = WORKFLOW_TYPES[known.workflow_type].takes.model_validate(known.given)
        except (ValidationError, KeyError):
            raise NotAuthorized("The record of who started this operation can't be read.") from None
        own = (opened.kind, opened.subject, opened.workflow_id, opened.workflow_id)
        if own != (known.workflow_type, given.subject, activity.info().workflow_id, _id_of(known, given)):
            raise NotAuthorized("The record of who started this operation belongs to another run.")
        held = self._policies.version(known.policy_version)
        if not hmac.compare_digest(held.sha256, known.policy_sha256):
            raise NotAuthorized(
                "The policy by which this operation was started is not the one in the records."
            )
        self._judged(held, Asked(opened.kind, opened.workflow_id, given, known.request, known.at))
        return {"authorized": _facts(known)}

    def _judged(self, held: Held, asked: Asked) -> Principal:
        """Who asks, if they may."""
        kind = WORKFLOW_TYPES[asked.workflow_type]
        requester = UNKNOWN if asked.request is None else self._verified(held, asked, asked.request)
        decision = allowed(held.policy, requester, Act.START, kind.capability, asked.given.subject)
        if not decision.yes:
            raise NotAuthorized(f"This was refused: {decision.why}.")
        return requester

    def _verified(self, held: Held, asked: Asked, request: SignedRequest) -> Principal:
        facing = Facing(
            installation=self._installation,
            namespace=activity.info().namespace,
            act=Act.START,
            workflow_type=asked.workflow_type,
            workflow_id=asked.workflow_id,
            input_sha256=input_digest(asked.given),
        )
        wrong = mismatch(request, facing, asked.at)
        if wrong is not None:
            raise NotAuthorized(f"This was refused: {wrong}.")
        found = spoken(held.policy, request)
        if not isinstance(found, Spoken):
            raise NotAuthorized(f"This was refused: {found}.")
        if not self._verify(found.key, statement(request), request.signature):
            raise NotAuthorized("This was refused: the request's signature is not good.")
        return found.principal

    def _in_its_window(self, held: Held, asked: Asked) -> None:
        kind = WORKFLOW_TYPES[asked.workflow_type]
        decision = may_begin(held.policy, kind.capability, kind.name, asked.given.subject, asked.at)
        if not decision.yes:
            raise NotAuthorized(f"This was refused: {decision.why}.")

    def _take(self, held: Held, request: SignedRequest | None, taken_up: str | None) -> None:
        """Each request once. A run that was reset brings again the one by which its operation was started."""
        if request is None:
            return
        kept = None if taken_up is None else self._journal.result(taken_up, STEP)
        if kept is not None and Authorization.model_validate(kept).request == request:
            return
        info = activity.info()
        by = f"{info.workflow_id}/{info.workflow_run_id}"
        if not self._records.use(request.nonce, by, count_of(self._verify, held.policy, request)):
            raise NotAuthorized("This was refused: the signed request has been used by another run.")

    def _request(self) -> SignedRequest | None:
        presented = self._presented()
        if presented is None:
            return None
        try:
            return SignedRequest.model_validate_json(presented)
        except ValidationError:
            raise NotAuthorized("This was refused: what came as a signed request is none.") from None

    def _held(self, subject: str) -> Held | None:
        try:
            return self._policies.current()
        except NotAuthorized as refused:
            info = activity.info()
            where = f"authorization/{info.workflow_id}/{info.workflow_run_id}"
            self._refuse(where, "policy", subject, refused)
            raise

    def _refuse(self, operation: str, step: str, subject: str, refused: RedoubtError) -> None:
        info = activity.info()
        presented = self._presented()
        self._journal.note(
            Entry(
                operation=operation[:200],
                step=f"refused/{step}"[:200],
                kind=Kind.NOTE,
                what=Event.AUTHORIZATION_REFUSED,
                subject=subject[:500],
                who="unverified" if presented else UNKNOWN.name,
                run=f"{info.workflow_id}/{info.workflow_run_id}",
                at=datetime.now(UTC),
                facts={"act": Act.START, "why": refused.detail[:1000]},
            )
        )


def _id_of(known: Authorization, given: WorkflowInput) -> str:
    return WORKFLOW_TYPES[known.workflow_type].workflow_id(given)


def _facts(known: Authorization) -> dict[str, JsonValue]:
    return {
        "requester": known.requester.name,
        "shown": known.requester.shown,
        "hardware": known.requester.hardware,
        "nonce": known.request.nonce if known.request else None,
        "policy_version": known.policy_version,
        "policy_sha256": known.policy_sha256,
    }

"""The gate for roles: an operation begins, and each of its effects begins, only by who may start it.

Whoever can write to Temporal can start runs and activities, complete them, and send any header. So:

- The first activity admits the run: the signed request that came with it is held against this installation,
  namespace, workflow type, workflow ID and input, against the policy's keys, roles and windows, and is taken once,
  with the count of a FIDO2 key that has signed it.
  What comes without a request is from `UNKNOWN` and may do what the policy grants to `unknown`.
- The request must have been good when Temporal took up the run, by its server's clock: however long the run then
  waits for a worker, within a day, and however often its first step is tried.
- What it found is recorded with the operation, with the policy's version. A run that takes the operation up (after a
  reset, say) with the same request needs no other. The activity of each effect reads the record and judges it again
  with that version: signature, role, and that it is this operation's own.
- What a service starts in the course of an operation is on behalf of who has started that: their record, judged again.
- Undoing is judged by what the operation's own records show (`activities.steering`), and its steps ask nobody.
- An installation without a policy is open, as `redoubt doctor` says. One whose policy can't be verified is shut.
- Each decision is evidence: yes once an operation and in every effect's intent, no once for each run or step.
"""

import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Final

from pydantic import JsonValue, ValidationError
from temporalio import activity

from activities.judging import Asked, Judge, here
from activities.policies import Held
from activities.running import this_run
from rules.policies import may_begin
from rules.requests import LONGEST, input_digest
from schemas.catalogue import WORKFLOW_TYPES
from schemas.contract import WorkflowInput
from schemas.errors import NotAuthorized
from schemas.evidence import Event
from schemas.policies import Authorization
from schemas.principals import UNKNOWN, Act, Principal, Shown, SignedRequest
from store import Operation

STEP: Final = "authorization"
"""The journal's step that holds by whom an operation was started."""

_UNDO: Final = "undo/"


class Gate:
    def __init__(self, judge: Judge, taken_up: Callable[[], datetime]) -> None:
        """`taken_up`: when Temporal has taken up the run of the activity that runs now, by its server's clock."""
        self._judge = judge
        self._taken_up = taken_up
        self._journal = judge.journal

    def admit(
        self, workflow_type: str, given: WorkflowInput, left: str | None = None
    ) -> Authorization | None:
        """By the first activity, before anything is opened; None in an installation without a policy.

        `left`: the operation that an earlier run has left, which this one goes on with. Raises `NotAuthorized`.
        """
        held = self._judge.held(Act.START, given.subject)
        if held is None:
            return None
        try:
            return self._admitted(held, workflow_type, given, left)
        except NotAuthorized as refused:
            self._judge.refuse(here(), "start", Act.START, given.subject, refused)
            raise

    def _admitted(
        self, held: Held, workflow_type: str, given: WorkflowInput, left: str | None
    ) -> Authorization:
        request, info = self._judge.request(), activity.info()
        kept = None if left is None or request is None else self._kept(left)
        again = kept is not None and kept.request == request
        at = kept.at if kept is not None and again else self._presented_at(request)
        asked = _start(workflow_type, info.workflow_id or "", given, request, at)
        requester = self._judge.requester(held, asked)
        on_behalf_of = self._on_behalf_of(requester, request)
        decision = may_begin(
            held.policy, WORKFLOW_TYPES[workflow_type].capability, workflow_type, given.subject, at
        )
        if not decision.yes:
            raise NotAuthorized(f"This was refused: {decision.why}.")
        if request is not None and not again and not self._judge.take(held, request, this_run()):
            raise NotAuthorized("This was refused: the signed request has been used by another run.")
        return Authorization(
            workflow_type=workflow_type,
            given=given.model_dump(mode="json"),
            request=request,
            requester=requester,
            on_behalf_of=on_behalf_of,
            policy_version=held.policy.version,
            policy_sha256=held.sha256,
            at=at,
        )

    def _presented_at(self, request: SignedRequest | None) -> datetime:
        """Temporal's server is asked only where the request was good once and this step was scheduled too late."""
        scheduled = activity.info().scheduled_time
        if request is None or not request.expires <= scheduled < request.issued_at + LONGEST:
            return scheduled
        return self._taken_up()

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
        held = self._judge.held(Act.START, operation)
        if held is None:
            return {}
        opened = self._journal.operation(operation)
        try:
            return {"authorized": _facts(self._own(opened))}
        except NotAuthorized as refused:
            self._judge.refuse(operation, step, Act.START, opened.subject, refused)
            raise

    def _own(self, opened: Operation) -> Authorization:
        if opened.workflow_id != activity.info().workflow_id:
            raise NotAuthorized("The record of who started this operation belongs to another run.")
        return self._confirmed(opened)

    def _confirmed(self, opened: Operation) -> Authorization:
        """Who has started the operation, judged again by the policy of then."""
        known = self._kept(opened.operation)
        if known is None:
            raise NotAuthorized("Nobody who may has started this operation since the policy holds.")
        try:
            kind = WORKFLOW_TYPES[known.workflow_type]
            given = kind.takes.model_validate(known.given)
        except (ValidationError, KeyError):
            raise NotAuthorized("The record of who started this operation can't be read.") from None
        own = (opened.kind, opened.subject, opened.workflow_id)
        if own != (known.workflow_type, given.subject, kind.workflow_id(given)):
            raise NotAuthorized("The record of who started this operation belongs to another run.")
        held = self._judge.policies.version(known.policy_version)
        if not hmac.compare_digest(held.sha256, known.policy_sha256):
            raise NotAuthorized(
                "The policy by which this operation was started is not the one in the records."
            )
        requester = self._judge.requester(
            held, _start(opened.kind, opened.workflow_id, given, known.request, known.at)
        )
        found = (requester, self._on_behalf_of(requester, known.request))
        if found != (known.requester, known.on_behalf_of):
            raise NotAuthorized("The record of who started this operation names somebody else.")
        return known

    def _kept(self, operation: str) -> Authorization | None:
        kept = self._journal.result(operation, STEP)
        try:
            return None if kept is None else Authorization.model_validate(kept)
        except ValidationError:
            raise NotAuthorized("The record of who started this operation can't be read.") from None

    def _on_behalf_of(self, requester: Principal, request: SignedRequest | None) -> Principal | None:
        """Whose operation has started this one, through however many; None: it was nobody else's."""
        if request is None or not request.on_behalf_of:
            return None
        if requester.shown is not Shown.SERVICE:
            raise NotAuthorized("This was refused: only a service of our own asks on behalf of an operation.")
        asking = self._journal.operation(request.on_behalf_of)
        if self._kept(asking.operation) is None:
            return UNKNOWN
        known = self._confirmed(asking)
        return known.on_behalf_of or known.requester


def _start(
    workflow_type: str, workflow_id: str, given: WorkflowInput, request: SignedRequest | None, at: datetime
) -> Asked:
    return Asked(Act.START, workflow_type, workflow_id, given.subject, input_digest(given), request, at)


def _facts(known: Authorization) -> dict[str, JsonValue]:
    return {
        "requester": known.requester.name,
        "shown": known.requester.shown,
        "hardware": known.requester.hardware,
        "on_behalf_of": known.on_behalf_of.name if known.on_behalf_of else None,
        "nonce": known.request.nonce if known.request else None,
        "policy_version": known.policy_version,
        "policy_sha256": known.policy_sha256,
    }

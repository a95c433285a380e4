"""Whether the policy's windows and limits leave room for an operation to begin now.

- They are asked at the operation's first effect, and counted from the store's records: an operation that a workflow
  or a person merely speaks of counts nothing, and one that waits for approval takes nobody's room.
- What has begun goes on, whatever the hour and however full it is by then, so that nothing stays half-done; undoing
  asks nobody.
- It is the policy that holds now that is asked: windows and limits are about now. An installation without a policy
  has none; one whose policy can't be verified begins nothing.
- What hour it is, is not decided by one machine's clock alone (`activities.clock`).
- Asking before (`waits`, by a sweep and by a plan) is a courtesy. It takes no room.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from activities import clock
from activities.policies import Policies
from rules.limits import Begun, refusal
from rules.policies import may_begin
from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import NotAuthorized, OutsideLimits
from schemas.evidence import Entry, Event, Kind
from schemas.policies import Policy
from store import Journal, Operation
from store.beginnings import Beginnings

_UNDO: Final = "undo/"


class Room:
    def __init__(self, policies: Policies, beginnings: Beginnings, journal: Journal, service: str) -> None:
        self._policies = policies
        self._beginnings = beginnings
        self._journal = journal
        self._service = service

    def has_begun(self, operation: str) -> bool:
        return self._beginnings.has(operation)

    def waits(self, workflow_type: str, subject: str, beside: Sequence[Begun] = ()) -> str:
        """What it would have to wait for, if it were to begin now beside these; "" if for nothing."""
        try:
            held = self._policies.current()
        except NotAuthorized as refused:
            return refused.detail
        return "" if held is None else self._missing(held.policy, _one(workflow_type, subject), beside)

    def look(self, operation: str, step: str) -> None:
        """By the activity of an effect, before anything is used up for it. Raises `OutsideLimits`."""
        found = self._asking(operation, step)
        if found is not None:
            policy, opened = found
            self._refuse_if(opened, self._missing(policy, _one(opened.kind, opened.subject)))

    def take(self, operation: str, step: str) -> None:
        """By the activity of an effect, right before its intent: from now on it has begun. Raises `OutsideLimits`."""
        found = self._asking(operation, step)
        if found is not None:
            policy, opened = found
            one = _one(opened.kind, opened.subject)
            self._refuse_if(opened, self._beginnings.begin(operation, one, policy.limits))

    def _asking(self, operation: str, step: str) -> tuple[Policy, Operation] | None:
        """None where nothing is to be asked: there is no policy, or it undoes, or has begun."""
        if step.startswith(_UNDO):
            return None
        held = self._policies.current()
        if held is None or self._beginnings.has(operation):
            return None
        return held.policy, self._journal.operation(operation)

    def _missing(self, policy: Policy, one: Begun, beside: Sequence[Begun] = ()) -> str:
        capability = WORKFLOW_TYPES[one.workflow_type].capability
        window = may_begin(policy, capability, one.workflow_type, one.subject, one.at)
        if not window.yes:
            return f"it waits for its window: {window.why}"
        seen = self._beginnings.seen(policy.limits, one.at)
        full = refusal(policy.limits, one, (*seen, *beside))
        return f"it waits for room under a limit: {full}" if full else ""

    def _refuse_if(self, opened: Operation, why: str) -> None:
        if not why:
            return
        self._journal.note(
            Entry(
                operation=opened.operation,
                step="held-back",
                kind=Kind.NOTE,
                what=Event.OPERATION_HELD_BACK,
                subject=opened.subject,
                who=self._service,
                run="",
                at=datetime.now(UTC),
                facts={"why": why[:1000]},
            )
        )
        raise OutsideLimits(f"{opened.subject} was not begun: {why}.")


def _one(workflow_type: str, subject: str) -> Begun:
    return Begun(workflow_type, subject, clock.now(), under_way=True)

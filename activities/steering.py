"""Who may tell a run what: pause, resume and abort, and what an operation is put back for.

- What is told carries a signed request like a start does: for one act, one run and one reason, once, for a quarter of
  an hour. The run asks this activity, and follows nothing that it refuses. What comes unsigned is from `UNKNOWN` and
  may do what the policy grants to `unknown`.
- Pausing and resuming have no effect outside the run. An abort has: what was switched is put back. So the activity that
  turns an operation round asks again, and believes no workflow: it wants the abort's own signature, taken in time by
  this very run, or what the operation's own records show (it has failed, or stands still in the middle of a step).
- Without either it is a stranger who asks: whoever cancels by Temporal's own means, completes another's activity or
  starts this one. They may do what the policy lets `unknown` do.
- An operation that undoes itself goes on undoing, whoever runs it, and so does one whose records are away: it can't go
  forward then, and putting back must not wait. Records that could be read and would not take a refusal are not away.
"""

from collections.abc import Callable
from typing import Final

from pydantic import JsonValue
from temporalio import activity

from activities.beating import beats
from activities.judging import Asked, Judge, here
from activities.policies import Held
from activities.running import this_run
from rules.requests import input_digest
from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import EvidenceUnavailable, NotAuthorized, RedoubtError
from schemas.evidence import Event
from schemas.principals import UNKNOWN, Act, Principal, SignedRequest
from schemas.runs import Told, Word
from store import Operation

Facts = dict[str, JsonValue]

RECORDS_AWAY: Final[Facts] = {"records": "away"}
"""Why something is put back that nobody could judge."""


class Steering:
    """The gate for what people tell runs."""

    def __init__(self, judge: Judge) -> None:
        self._judge: Final = judge

    def hear(self, told: Told) -> Word:
        """Judge what a run was told, and take its request. Raises `NotAuthorized`."""
        subject = (activity.info().workflow_id or "").partition("/")[2]
        held = self._judge.held(told.act, subject)
        if held is None:
            return Word(told=told, request=None, requester=UNKNOWN)
        step = f"{told.act}/{activity.info().activity_id}"
        try:
            word = self._taken(held, told, subject)
        except NotAuthorized as refused:
            self._judge.refuse(here(), step, told.act, subject, refused)
            raise
        facts = {"act": told.act, "reason": told.steer.reason, **_facts(held, word.requester, word.request)}
        self._judge.note(here(), step, Event.AUTHORIZATION_ALLOWED, subject, word.requester.name, facts)
        return word

    def _taken(self, held: Held, told: Told, subject: str) -> Word:
        request = self._judge.request()
        requester = self._judge.requester(held, _asked(told, _type_of_this_run(), subject, request))
        taker = f"{_takers(told.act)}{activity.info().activity_id}"
        if request is not None and not self._judge.take(held, request, taker):
            raise NotAuthorized("This was refused: the signed request has been used already.")
        return Word(told=told, request=request, requester=requester)

    def may_undo(self, opened: Operation, word: Word | None, failed: Callable[[], str]) -> Facts:
        """By the activity that turns the operation round; returns what the evidence says of it.

        `failed`: what the operation's own records show against it, in words; "" if nothing. Raises `NotAuthorized`.
        """
        if opened.undoing:
            return {}
        try:
            return self._judged(opened, word, failed)
        except EvidenceUnavailable:
            return RECORDS_AWAY
        except NotAuthorized as refused:
            self._refuse(opened, refused)
            raise

    def may_give_up(self, opened: Operation, word: Word | None, failed: Callable[[], str]) -> Facts:
        """The same, by the activity that closes an operation as failed; it waits for records that are away."""
        try:
            return self._judged(opened, word, failed)
        except NotAuthorized as refused:
            self._refuse(opened, refused)
            raise

    def _refuse(self, opened: Operation, refused: RedoubtError) -> None:
        """Raises `EvidenceUnavailable`, and is tried again: a no that the records do not take is no yes."""
        self._judge.refuse(opened.operation, "undo", Act.ABORT, opened.subject, refused)

    @property
    def asks(self) -> bool:
        """False in an installation without a policy: there everybody may tell a run everything."""
        return not self._judge.policies.absent

    def may_end_grace(self, opened: Operation, word: Word) -> None:
        """By the activity that closes a renewal in its grace. Raises `NotAuthorized`."""
        held = self._judge.held(Act.END_GRACE, opened.subject)
        if held is None:
            return
        try:
            self._who_has_said(held, opened, word, Act.END_GRACE)
        except NotAuthorized as refused:
            self._judge.refuse(opened.operation, "close", Act.END_GRACE, opened.subject, refused)
            raise

    def _judged(self, opened: Operation, word: Word | None, failed: Callable[[], str]) -> Facts:
        """Reads, and writes nothing: so `EvidenceUnavailable` says that it could not be judged."""
        if self._judge.policies.absent:
            return {}
        if opened.workflow_id == activity.info().workflow_id and (shown := failed()):
            return {"failed": shown}
        held = self._judge.policies.current()
        if held is None:
            return {}
        requester, request = self._who_has_said(held, opened, word, Act.ABORT)
        return {"authorized": _facts(held, requester, request)}

    def _who_has_said(
        self, held: Held, opened: Operation, word: Word | None, act: Act
    ) -> tuple[Principal, SignedRequest | None]:
        if opened.workflow_id != activity.info().workflow_id:
            raise NotAuthorized(
                "An operation is put back, given up or closed by its own run, and by no other."
            )
        told = None if word is None else word.told
        request = None if word is None or told is None or told.act is not act else word.request
        if told is None or request is None:
            return self._stranger(held, opened, act), None
        if not (self._judge.records.used_by(request.nonce) or "").startswith(_takers(act)):
            raise NotAuthorized(f"This was refused: this run has not taken the {act} that it shows.")
        # In time it was when it was taken, which the records show.
        asked = _asked(told, opened.kind, opened.subject, request)._replace(at=request.issued_at)
        return self._judge.requester(held, asked), request

    def _stranger(self, held: Held, opened: Operation, act: Act) -> Principal:
        try:
            return self._judge.requester(
                held,
                Asked(
                    act,
                    opened.kind,
                    opened.workflow_id,
                    opened.subject,
                    "",
                    None,
                    activity.info().scheduled_time,
                ),
            )
        except NotAuthorized as refused:
            if act is Act.END_GRACE:
                raise
            raise NotAuthorized(
                f"The operation on {opened.subject} is neither put back nor given up: it has not failed as far as its "
                f"records show, and nobody has signed an abort. {refused.detail}"
            ) from None


class SteeringActivities:
    """For every pool that has workflows."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering

    @activity.defn
    @beats
    def hear(self, told: Told) -> Word:
        """Judge who pauses, resumes or aborts this run. Raises `NotAuthorized`."""
        return self._steering.hear(told)


def _asked(told: Told, workflow_type: str, subject: str, request: SignedRequest | None) -> Asked:
    info = activity.info()
    return Asked(
        act=told.act,
        workflow_type=workflow_type,
        workflow_id=info.workflow_id or "",
        subject=subject,
        input_sha256=input_digest(told.steer),
        request=request,
        at=info.scheduled_time,
        run_id=info.workflow_run_id or "",
    )


def _type_of_this_run() -> str:
    """As Temporal's server knows it; its ID must be one that names its subject."""
    info = activity.info()
    kind = WORKFLOW_TYPES.get(info.workflow_type or "")
    if kind is None or not (info.workflow_id or "").startswith(f"{kind.id_prefix}/"):
        raise NotAuthorized("This was refused: this run's ID does not say what it works on.")
    return kind.name


def _takers(act: Act) -> str:
    """What begins the name under which this run takes requests for an act; each time it was told has its own."""
    return f"{this_run()}/{act}/"


def _facts(held: Held, requester: Principal, request: SignedRequest | None) -> Facts:
    return {
        "requester": requester.name,
        "shown": requester.shown,
        "nonce": request.nonce if request else None,
        "policy_version": held.policy.version,
    }

"""What the steps of a renewal share: what they touch, how an effect is journalled, and what earlier steps left.

What a second attempt does is decided by what the first has left: an outcome in the journal is returned as it
is; an intent without an outcome is followed by looking at the world (the CA's order, the target's current
version) before anything is done. No step hands on a private key.
"""

import contextlib
import functools
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import JsonValue
from temporalio import activity
from temporalio.exceptions import CancelledError

from activities.approving import ApprovalGate
from activities.authorizing import Gate
from activities.certificates import standing
from activities.certificates.holding import held
from activities.certificates.measures import Measures
from activities.certificates.places import Places
from activities.looking import Looks, seen
from activities.room import Room
from activities.steering import Steering
from clients.certificates import CertificateReader
from clients.issuers import Issuer
from clients.keystores import KeyStore
from clients.probes import Prober
from clients.revocation import Revocations
from clients.runs import Runs
from clients.seals import Seals
from clients.targets import Target
from rules.endings import not_shown
from rules.points import reached
from rules.undoing import IRREVOCABLE
from schemas.certificates import CertificateFacts, RenewalPlan, StepInput
from schemas.contract import Contract, WorkflowInput
from schemas.errors import (
    CaRefused,
    IntentNotLogged,
    Internal,
    NotApproved,
    NotAuthorized,
    OrderLost,
    RedoubtError,
    UnknownSubject,
)
from schemas.evidence import Event
from schemas.principals import Act, SignedRequest
from schemas.settings.certificates import CertificateSettings, ReplacementPolicy
from schemas.settings.targets import TargetSettings
from store import Journal, Operation

KIND = "CertificateRenewal"
REVOCATION = "CertificateRevocation"

FORWARD, UNDOING = 1, 2
"""The fence's epochs: once an operation undoes itself, none of its forward steps has an effect any more."""

_IN_LOG_WITHIN_S = 15.0
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Surroundings:
    """What these activities touch, each part behind its port."""

    inventory: Mapping[str, CertificateSettings]
    journal: Journal
    reader: CertificateReader
    prober: Prober
    issuer: Callable[[str], Issuer]
    key_store: Callable[[str], KeyStore]
    target: Callable[[TargetSettings], Target]
    gate: Gate
    approvals: ApprovalGate
    room: Room
    seals: Seals
    steering: Steering
    revocations: Revocations
    signed: Callable[[str, WorkflowInput, str], SignedRequest | None]
    """The service's own request to start a workflow type, on behalf of an operation or "" of nobody's; None where it
    has no key."""
    signed_update: Callable[[Act, str, WorkflowInput, Contract, str], SignedRequest | None]
    """The same for an update of the run that this input names, by its run ID."""
    runs: Callable[[], Runs]
    """Known once the worker is connected."""
    service: str = "service:certificates"
    distrusted: frozenset[str] = frozenset()
    """Issuers that are not to be used any more, and whose certificates are to be replaced."""
    replacement: ReplacementPolicy = field(default_factory=ReplacementPolicy)
    list_keepers: tuple[str, ...] = ()
    """Issuers whose revocation lists we make anew ourselves."""
    measures: Measures = field(default_factory=Measures)
    looks: Looks = field(default_factory=Looks)
    """How the targets of one certificate are visited: side by side, none for too long."""


S = TypeVar("S", bound="Steps")
T = TypeVar("T")


def forward(
    name: str,
) -> Callable[[Callable[[S, StepInput], T]], Callable[[S, StepInput], T]]:
    """Let an activity that goes forward keep with its operation that it has failed; stands below `beats`.

    `name`: its step in the journal, with fields of `StepInput` in braces. An operation is put back for what its own
    records show, so what fails because it was asked of the wrong run, part or time is not kept. Nor is that it is not
    approved: an approval that is refused or expires is on record itself.
    """

    def kept(step_of: Callable[[S, StepInput], T]) -> Callable[[S, StepInput], T]:
        @functools.wraps(step_of)
        def tried(self: S, step: StepInput) -> T:
            try:
                return step_of(self, step)
            except CancelledError:
                raise  # cut short, which is no failure
            except OrderLost as lost:
                # Another order is placed only where the records show that this one has failed.
                self._keep_failure(step, name.format_map(step.model_dump()), lost)
                raise
            except Exception as failed:
                with contextlib.suppress(RedoubtError):  # the records may be what has failed
                    self._keep_failure(step, name.format_map(step.model_dump()), failed)
                raise

        return tried

    return kept


class Steps:
    """Base of the activity classes."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around

    @property
    def _places(self) -> Places:
        return Places(self._around.inventory, self._around.seals)

    def _once(  # noqa: PLR0913, PLR0917 - a step is all of these
        self,
        operation: str,
        step: str,
        what: Event,
        facts: dict[str, JsonValue],
        effect: Callable[[], dict[str, JsonValue]],
        told: Callable[[dict[str, JsonValue]], dict[str, JsonValue]] = dict,
    ) -> dict[str, JsonValue]:
        """Intent, effect, outcome; `told` is what of the result the evidence repeats."""
        facts = {**facts, **self._authority(operation, step)}
        begun = self._around.journal.begin(operation, step, what, facts)
        if begun.result is not None:
            return begun.result
        result = effect()
        return self._around.journal.finish(operation, step, what, {**facts, **told(result)}, result)

    def _irrevocably(
        self,
        operation: str,
        step: str,
        what: Event,
        facts: dict[str, JsonValue],
        effect: Callable[[], dict[str, JsonValue]],
    ) -> dict[str, JsonValue]:
        """As `_once`, for what can't be undone: the effect waits until its intent is in the evidence log."""
        facts = {**facts, **self._authority(operation, step)}
        begun = self._around.journal.begin(operation, step, what, facts)
        if begun.result is not None:
            return begun.result
        self._await_log(operation, step)
        return self._around.journal.finish(operation, step, what, facts, effect())

    def _authority(self, operation: str, step: str) -> dict[str, JsonValue]:
        """Who has started and who has approved this, and that there is room: judged anew before each effect."""
        started = self._around.gate.confirm(operation, step)
        # An approval is good for once: it is not used up for what has no room to begin.
        self._around.room.look(operation, step)
        approved = self._around.approvals.confirm(operation, step)
        self._around.room.take(operation, step)
        return {**started, **approved}

    def _keep_failure(self, step: StepInput, name: str, failed: Exception) -> None:
        plan, journal = self._fitting(step), self._around.journal
        if journal.operation(step.operation).workflow_id != activity.info().workflow_id:
            return
        if isinstance(failed, NotApproved) or standing.too_early(journal, plan, step, name):
            return
        known = failed if isinstance(failed, RedoubtError) else Internal(type(failed).__name__)
        journal.failed(step.operation, name, known.code, known.detail[:1000])

    def _failure(self, plan: RenewalPlan) -> str:
        around = self._around
        return standing.failure(around.journal, around.approvals, around.distrusted, plan)

    def _refuse_unless_shown(
        self, opened: Operation, outcome: str, plan: Collection[str], *, undoing: bool = False
    ) -> None:
        """Close nothing as what it is not; what was closed already stays as it is."""
        if opened.closed is not None:
            return
        ended = {one.step: one.result is not None for one in self._around.journal.steps(opened.operation)}
        missing = not_shown(outcome, plan, ended, undoing=undoing)
        if missing:
            raise NotAuthorized(
                f"The operation on {opened.subject} is not closed as {outcome}: its records do not show "
                f"{', '.join(missing)}."
            )

    def _settled(self, operation: str) -> bool:
        """Whether something was begun that can't be undone: then what was replaced can't be put back."""
        steps = self._around.journal.steps(operation)
        return any(step.step.startswith(IRREVOCABLE) for step in steps)

    def _await_log(self, operation: str, step: str) -> None:
        deadline = time.monotonic() + _IN_LOG_WITHIN_S
        while not self._around.journal.in_log(operation, step):
            if time.monotonic() > deadline:
                raise IntentNotLogged(
                    f"{step} was not begun: its intent is recorded, but not yet in the log."
                )
            time.sleep(_LOOK_EVERY_S)
        reached("intent.logged")

    def _settings(self, certificate: str) -> CertificateSettings:
        if certificate not in self._around.inventory:
            raise UnknownSubject(f"No certificate {certificate!r} is in the inventory.")
        return self._around.inventory[certificate]

    def _existing(self, plan: RenewalPlan, target: str) -> TargetSettings:
        """For what is new on it. Raises `UnknownSubject` for one that was taken out since it was planned."""
        place = self._places.named(plan.certificate, target)
        if place is None:
            raise UnknownSubject(f"Certificate {plan.certificate!r} has no target {target!r} any more.")
        return place

    def _plan(self, operation: str) -> RenewalPlan:
        return plan_of(self._around.journal.operation(operation))

    def _planned(self, step: StepInput) -> RenewalPlan:
        """The plan of the step's operation, which reaches its own certificate, targets and issuers and no others.

        Whoever may write to Temporal can name any; so what a step names is held against the plan before it is used.
        """
        plan = self._fitting(step)
        if step.issuer in self._around.distrusted and not self._verified(plan):
            # Since it was planned. Putting back names no issuer, so it goes on.
            raise CaRefused(f"{step.issuer} is in `distrusted_issuers`, so nothing of it is used.")
        return plan

    def _verified(self, plan: RenewalPlan) -> bool:
        return standing.verified(plan, self._around.journal.steps(plan.operation))

    def _fitting(self, step: StepInput) -> RenewalPlan:
        plan = self._plan(step.operation)
        group = next((one for one in plan.groups if one.name == step.group), None)
        fits = (
            step.certificate == plan.certificate
            and group is not None
            and (not step.target or step.target in group.targets)
            and (not step.issuer or step.issuer in plan.issuers)
        )
        if not fits:
            raise NotAuthorized(f"The operation on {plan.certificate} does not reach what this step names.")
        return plan

    def _held_by(self, targets: Iterable[TargetSettings]) -> dict[str, CertificateFacts | None]:
        """What each holds now, by its name. Raises one error that names all that can't be looked at."""
        return seen(self._around.looks.at({one.name: one for one in targets}, self._held))

    def _held(self, settings: TargetSettings) -> CertificateFacts | None:
        return held(self._around.target(settings), self._around.reader)

    def _result(self, operation: str, step: str) -> dict[str, JsonValue]:
        result = self._around.journal.result(operation, step)
        if result is None:
            raise UnknownSubject(
                f"Step {step!r} of operation {operation} has no outcome that this step could use."
            )
        return result


def plan_of(opened: Operation) -> RenewalPlan:
    refuse_another_kind(opened, KIND)
    state = {**opened.state, "operation": opened.operation, "undoing": opened.undoing}
    return RenewalPlan.model_validate(state)


def refuse_another_kind(opened: Operation, kind: str) -> None:
    """A step can be called with any operation. Raises `NotAuthorized`."""
    if opened.kind != kind:
        raise NotAuthorized(f"The operation on {opened.subject} is a {opened.kind}, which has no such step.")

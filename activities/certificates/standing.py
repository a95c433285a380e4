"""How a renewal stands by its own records, whatever a run says of it (`rules.undoing`)."""

from collections.abc import Collection, Iterable
from datetime import timedelta

from activities import clock
from activities.approving import ApprovalGate
from rules import undoing
from rules.undoing import Standing
from schemas.certificates import RenewalPlan, StepInput
from schemas.errors import NotAuthorized
from store import Begun, Journal


def order_of(step: StepInput) -> str:
    """The part of a journal step's name that says which order it is about."""
    return f"{step.group}/{step.issuer}/{step.attempt}"


def issued_by(step: StepInput) -> str:
    """The journal step that holds what this order brought."""
    return f"issued/{order_of(step)}"


def too_early(journal: Journal, plan: RenewalPlan, step: StepInput, name: str) -> tuple[str, ...]:
    """What must come before this step is begun, and is not in the records."""
    shown = {one.step for one in journal.steps(plan.operation) if one.ended}
    if name.startswith("issued/") and step.attempt > 1:
        shown |= {undoing.failure_of(one) for one in journal.failures(plan.operation)}
    return undoing.too_early(name, step, plan.waves, shown)


def refuse_if_too_early(journal: Journal, plan: RenewalPlan, step: StepInput, name: str) -> None:
    """Raises `NotAuthorized`."""
    if missing := too_early(journal, plan, step, name):
        raise NotAuthorized(
            f"{name} was not begun: the records do not show {', '.join(missing)}, which must come first."
        )


def verified(plan: RenewalPlan, steps: Iterable[Begun]) -> bool:
    """Whether every target is: then nothing is left to be put on one, and nothing to go back for."""
    shown = {one.step for one in steps if one.result is not None}
    return all(f"verify/{name}" in shown for name in plan.targets)


def failure(journal: Journal, approvals: ApprovalGate, distrusted: Collection[str], plan: RenewalPlan) -> str:
    """By what the operation has failed as far as the records show, in words; "" if it has not."""
    begun = journal.steps(plan.operation)
    steps = [Standing(one.step, one.at, one.ended is not None) for one in begun]
    at_targets, elsewhere = (
        timedelta(seconds=one) for one in (plan.target_patience_s, plan.issuer_patience_s)
    )
    return (
        undoing.failed(steps, journal.failures(plan.operation))
        or undoing.silent(steps, clock.now(), at_targets, elsewhere)
        or approvals.denied(plan.operation)
        or ("" if verified(plan, begun) else undoing.distrusted(steps, distrusted))
    )

"""What was changed on the targets behind our back: what they hold now, beside what the last operation left there."""

from activities.certificates.steps import KIND, Surroundings, plan_of
from rules.drift import left_in_use
from schemas.settings.certificates import CertificateSettings


def drifted(around: Surroundings, certificate: str, settings: CertificateSettings) -> str | None:
    """In words, the first change that is found; None if none is, or no operation has ended yet.

    Raises what a target raises that can't be looked at.
    """
    expected = _expected(around, certificate)
    for target in settings.targets:
        if target.name in expected:
            words = around.target(target).drift(expected[target.name])
            if words:
                return f"{target.name} was changed by someone else: {words}"
    return None


def _expected(around: Surroundings, certificate: str) -> dict[str, str | None]:
    for ending in around.journal.endings(KIND, certificate, 1):
        plan = plan_of(around.journal.operation(ending.operation))
        steps = {step.step: step.result for step in around.journal.steps(ending.operation)}
        return left_in_use(ending.outcome, plan.targets, plan.previous, steps)
    return {}

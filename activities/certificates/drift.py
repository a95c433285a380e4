"""What was changed on the targets behind our back: what they hold now, beside what the last operation left there."""

from collections.abc import Callable

from pydantic import BaseModel, Field

from activities.certificates.steps import KIND
from activities.looking import Looks, seen
from clients.targets import Target
from rules.drift import left_in_use
from schemas.settings.certificates import CertificateSettings
from schemas.settings.targets import TargetSettings
from store import Journal


class Outline(BaseModel):
    """What is needed of a renewal's plan here; an operation of an earlier version may have had another shape."""

    waves: tuple[tuple[str, ...], ...] = ()
    previous: dict[str, str] = Field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(name for wave in self.waves for name in wave)


def drifted(
    journal: Journal,
    client: Callable[[TargetSettings], Target],
    certificate: str,
    settings: CertificateSettings,
    looks: Looks,
) -> str | None:
    """In words, the first change that is found; None if none is, or no operation has ended yet.

    Raises what a target raises that can't be looked at, if no other one was changed.
    """
    expected = _expected(journal, certificate)

    def look(target: TargetSettings) -> str | None:
        return client(target).drift(expected[target.name])

    answers = looks.at({one.name: one for one in settings.targets if one.name in expected}, look)
    for name, words in answers.items():
        if isinstance(words, str) and words:
            return f"{name} was changed by someone else: {words}"
    seen(answers)
    return None


def _expected(journal: Journal, certificate: str) -> dict[str, str | None]:
    for ending in journal.endings(KIND, certificate, 1):
        plan = Outline.model_validate(journal.operation(ending.operation).state)
        steps = {step.step: step.result for step in journal.steps(ending.operation)}
        return left_in_use(ending.outcome, plan.targets, plan.previous, steps)
    return {}

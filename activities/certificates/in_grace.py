"""A grace by the records: when it is over, and who may have ended it before.

It begins when the last target was verified; the run's own timer counts for nothing. While it lasts nothing is retired,
and the renewal is closed only for who may end it: whoever closes it lets the next operation on the certificate begin,
and what was replaced could then not be given back.
"""

from datetime import timedelta
from typing import Final

from pydantic import JsonValue

from activities import clock
from activities.certificates.steps import Surroundings
from schemas.certificates import RenewalPlan
from schemas.errors import InItsGrace
from schemas.evidence import Event
from schemas.runs import Word
from store import Journal, Operation

GRACE_ENDED: Final = "grace-ended"
"""The journal's step that holds that a service of ours has ended the grace, or who started the run, and why."""


def keep_ended(journal: Journal, operation: str, why: str) -> None:
    """By an activity that has judged who asks. Raises `Fenced` for one that goes back, or has ended."""
    facts: dict[str, JsonValue] = {"why": why[:1000]}
    journal.keep(operation, GRACE_ENDED, Event.CERTIFICATE_GRACE_ENDED, facts, facts)


def refuse_in_its_grace(journal: Journal, plan: RenewalPlan) -> None:
    """Raises `InItsGrace`, with how long it lasts."""
    verified = {f"verify/{name}" for name in plan.targets}
    ends = [one.ended for one in journal.steps(plan.operation) if one.step in verified and one.ended]
    over = max(ends, default=clock.now()) + timedelta(seconds=plan.grace_s)
    left = (over - clock.now()).total_seconds()
    if left > 0:
        raise InItsGrace(
            f"What {plan.certificate} had before is kept until {over:%Y-%m-%d %H:%M:%S} UTC.",
            retry_after_s=left,
        )


def refuse_unless_over_or_ended(
    around: Surroundings, opened: Operation, plan: RenewalPlan, word: Word | None
) -> None:
    """`word`: by which somebody has ended it. Raises `InItsGrace`, and `NotAuthorized` if the word is not good."""
    ended = around.journal.result(plan.operation, GRACE_ENDED) is not None
    if not plan.grace_s or ended:
        return
    if word is not None:
        around.steering.may_end_grace(opened, word)
    elif around.steering.asks:
        refuse_in_its_grace(around.journal, plan)

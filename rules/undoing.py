"""What an operation's own records must show before it is put back though nobody has signed an abort.

Whoever can write to Temporal can say that a step has failed, and a run that has lost its worker can't prove that one
has. So the records are asked:

- a step that goes forward has failed by an attempt's own word, recorded by the activity that tried it, and no later
  attempt has ended well; or
- it was begun, has no outcome, and has been silent for longer than the plan is patient with it: its worker is gone, or
  hangs.

What was not gained from one issuer and then from another does not count. An operation all of whose steps so far have
ended well, or are under way, has not failed.

A certificate whose issuer is not trusted any more is a failure, too, until every target is verified with it: then the
operation ends as renewed, and the next one replaces it.

And what must come before a step, so that nobody makes it fail by doing it too early: the key before an order, an order
that has failed before the same issuer's next one, the order's certificate before it is put anywhere; everything is
staged before anything is switched, a wave is verified before the next one is switched, and what is verified was
switched.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from schemas.certificates import StepInput

IRREVOCABLE: Final = ("revoke/", "destroy/")
"""What begins the name of a step that can't be undone: after it nothing is put back any more."""

_AT_TARGETS: Final = ("stage", "switch", "verify")
_ISSUING: Final = ("rehearse", "order", "authorize", "finalize", "issued")
_FORWARD: Final = ("key", *_ISSUING, *_AT_TARGETS)


class Standing(NamedTuple):
    """What the records have of a step."""

    step: str
    begun: datetime
    ended: bool


def failed(steps: Collection[Standing], failures: Collection[str]) -> str:
    """Which step has failed, in words; "" if none has. `failures`: those of which an attempt has."""
    done = {one.step for one in steps if one.ended}
    issued = _issued(done)
    for step in failures:
        if step not in done and not _made_up_for(step, issued):
            return f"{step} has failed"
    return ""


def silent(steps: Collection[Standing], now: datetime, at_targets: timedelta, elsewhere: timedelta) -> str:
    """Which step has been silent for too long, in words; "" if none has. The times are the plan's patience."""
    issued = _issued({one.step for one in steps if one.ended})
    for one in steps:
        kind = one.step.partition("/")[0]
        late = now - one.begun > (at_targets if kind in _AT_TARGETS else elsewhere)
        if late and kind in _FORWARD and not one.ended and not _made_up_for(one.step, issued):
            return f"{one.step} was begun at {one.begun:%Y-%m-%d %H:%M:%S} UTC and never ended"
    return ""


def _issued(done: Collection[str]) -> set[str]:
    """The groups that have their certificate."""
    return {step.split("/")[1] for step in done if step.startswith("issued/")}


def _made_up_for(step: str, issued: Collection[str]) -> bool:
    kind, _, rest = step.partition("/")
    return kind in _ISSUING and rest.split("/")[0] in issued


def distrusted(steps: Collection[Standing], issuers: Collection[str]) -> str:
    """Whose certificate it has, if that is one of these, in words; "" if it is not."""
    for one in steps:
        parts = one.step.split("/")
        if one.ended and parts[0] == "issued" and parts[2] in issuers:
            return f"its certificate is of {parts[2]}, which is not trusted any more"
    return ""


def too_early(
    name: str, step: StepInput, waves: Sequence[Sequence[str]], shown: Collection[str]
) -> tuple[str, ...]:
    """What must come before the step of this name is begun, and is not there.

    `shown`: the steps that have ended well, and what has failed (`failure_of`).
    """
    return tuple(one for one in _before(name.partition("/")[0], step, waves) if one not in shown)


def failure_of(step: str) -> str:
    return f"failed/{step}"


def _before(verb: str, step: StepInput, waves: Sequence[Sequence[str]]) -> Iterator[str]:
    issued = f"issued/{step.group}/{step.issuer}"
    if verb == "issued":
        yield f"key/{step.group}"
        if step.attempt > 1:
            yield failure_of(f"{issued}/{step.attempt - 1}")
    if verb in _AT_TARGETS:
        yield f"{issued}/{step.attempt}"
    if verb == "verify":
        yield f"switch/{step.target}"
    if verb == "switch":
        yield from (f"stage/{name}" for wave in waves for name in wave)
        own = next(number for number, wave in enumerate(waves) if step.target in wave)
        yield from (f"verify/{name}" for wave in waves[:own] for name in wave)

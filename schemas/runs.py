"""What every run can be asked and told, whatever its workflow type."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.contract import LONGEST_LINE, Contract, Line
from schemas.principals import Act, Principal, SignedRequest


class RunStatus(Contract):
    """The answer to the query `status`."""

    phase: str
    done: int = 0
    total: int = 0
    waits_for: str = ""
    who_can_act: str = ""
    paused: bool = False
    table: tuple[dict[str, str], ...] = ()


class Steer(Contract):
    """The argument of the updates `pause`, `resume`, `abort` and `end-grace`."""

    reason: Annotated[Line, Field(min_length=1, max_length=LONGEST_LINE)]


Steering = Literal[Act.PAUSE, Act.RESUME, Act.ABORT, Act.END_GRACE]


class Told(Contract):
    """The argument of the activity that judges who tells a run something."""

    act: Steering
    steer: Steer


class Word(Contract):
    """What was told, and by whom: as the activity found it, and as an undo hands it on to be judged again."""

    told: Told
    request: SignedRequest | None
    """None: it came unsigned, so from `UNKNOWN`."""
    requester: Principal


class Steered(Contract):
    phase: str
    paused: bool


SEARCH_ATTRIBUTES = ("RedoubtPhase", "RedoubtSubject", "RedoubtSeverity", "RedoubtCorrelationId")
"""All of type Keyword; nothing confidential may stand in them."""

"""What every run can be asked and told, whatever its workflow type."""

from typing import Annotated

from pydantic import Field

from schemas.contract import Contract


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

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class Steered(Contract):
    phase: str
    paused: bool


SEARCH_ATTRIBUTES = ("RedoubtPhase", "RedoubtSubject", "RedoubtSeverity", "RedoubtCorrelationId")
"""All of type Keyword; nothing confidential may stand in them."""

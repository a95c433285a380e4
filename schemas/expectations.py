"""The table that `redoubt policy test` holds a policy against: acts, and what must be decided about each."""

from typing import Annotated

from pydantic import AwareDatetime, Field, NonNegativeFloat, NonNegativeInt, model_validator

from schemas.catalogue import WORKFLOW_TYPES
from schemas.contract import Contract
from schemas.principals import Act, PrincipalName

Subject = Annotated[str, Field(max_length=500)]


def _known(name: str) -> str:
    if name and name not in WORKFLOW_TYPES:
        raise ValueError("no such workflow type; `redoubt schema` lists them")
    return name


class Beside(Contract):
    """An operation that has begun, for the limits to count."""

    workflow_type: str
    subject: Subject
    ago_s: NonNegativeFloat = 0.0
    under_way: bool = True


class Expected(Contract):
    """One act. Windows, limits and approvals are looked at where `workflow_type` is given, and the act is a start."""

    who: PrincipalName
    act: Act
    capability: Annotated[str, Field(pattern=r"^[a-z][a-z-]{0,30}$")]
    subject: Subject
    allowed: bool
    hardware: bool = False
    """Whether they sign by a key in hardware."""
    workflow_type: str = ""
    at: AwareDatetime | None = None
    """When it is to begin; None: windows are not looked at."""
    beside: tuple[Beside, ...] = ()
    approvals: NonNegativeInt | None = None
    """How many must agree before it begins; None: not compared."""

    @model_validator(mode="after")
    def _names_types_that_there_are(self) -> "Expected":
        for name in (self.workflow_type, *(one.workflow_type for one in self.beside)):
            _known(name)
        if not self.workflow_type and (self.at or self.beside or self.approvals is not None):
            raise ValueError("`at`, `beside` and `approvals` need `workflow_type`")
        return self

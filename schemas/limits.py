"""How much may happen: limits of the policy file, counted over operations that have begun their effects.

The kinds are a closed list, each with what it needs; amounts of money will be one more. A limit is over everything
that fits its capability, workflow types and scope together, or, `per: subject`, over each subject alone.
"""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from schemas.contract import Contract
from schemas.scopes import Capability, Pattern, WorkflowTypeName

LONGEST_S = 31 * 86_400.0


class _Limit(Contract):
    capability: Capability
    workflow_types: Annotated[tuple[WorkflowTypeName, ...], Field(min_length=1)] = ("*",)
    scope: Pattern = "*"
    per: Literal["scope", "subject"] = "scope"
    most: PositiveInt


class RateLimit(_Limit):
    """At most so many operations begin within a time that slides."""

    kind: Literal["rate"]
    within_s: Annotated[float, Field(gt=0, le=LONGEST_S)]


class SimultaneousLimit(_Limit):
    """At most so many operations are under way at a time: begun, and not ended."""

    kind: Literal["simultaneous"]


Limit = Annotated[RateLimit | SimultaneousLimit, Field(discriminator="kind")]

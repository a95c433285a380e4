"""The base of every contract: strict, frozen, and silent about what it was given."""

from abc import abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """A value that crosses a process boundary.

    Unknown fields are refused, so that a typing mistake is an error and not a default, and the values
    that were refused are never echoed: they could be secrets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class WorkflowInput(Contract):
    """The one argument of a workflow, as a person types it into the Temporal Web UI's start form.

    Only subclasses of this fail their run at once with `InvalidInput` when they don't validate: what an
    activity returns is our own, and a slip there must not fail a saga that is half-way through.
    """

    example: ClassVar[dict[str, object]]
    """A runnable example, printed by `redoubt schema TYPE`, shown in the docs and started by a test."""

    @property
    @abstractmethod
    def subject(self) -> str:
        """What this run works on: the last part of its workflow ID, and its search attribute."""

"""The base of every contract: strict, frozen, and silent about what it was given."""

from abc import abstractmethod
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, BaseModel, ConfigDict


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it must be on one line, of characters that can be seen")
    return text


Line = Annotated[str, AfterValidator(_printable)]
"""What people write for people: shown beside our own words, it can't look like a line of ours, nor turn them round."""
LONGEST_LINE: Final = 500


def line_of(words: str) -> str:
    """What others said, as such a line: cut, and with a mark for each character that can't be seen."""
    return "".join(sign if sign.isprintable() else "?" for sign in " ".join(words.split()))[:LONGEST_LINE]


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

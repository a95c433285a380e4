"""What a check of `doctor` is: it returns what it saw, or raises what is wrong."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from schemas.errors import CATALOGUE, Category, RedoubtError


class State(Enum):
    OK = 0
    WARNING = 1
    AWAY = 2
    BROKEN = 3


@dataclass(frozen=True)
class Finding:
    check: str
    state: State
    saw: str
    mend: str = ""


@dataclass(frozen=True)
class Check:
    name: str
    look: Callable[[], str]
    mend: str
    """What to do if it is wrong, where the error itself does not say better."""


class Concern(Exception):  # noqa: N818  # it is none: work goes on
    """Something to look at that stops nothing."""


def checked(check: Check) -> list[Finding]:
    """Run one check; an unknown error is a finding too, and shows its type only."""
    try:
        return [Finding(check.name, State.OK, check.look())]
    except Concern as concern:
        return [Finding(check.name, State.WARNING, str(concern), check.mend)]
    except RedoubtError as error:
        away = CATALOGUE[error.code].category is Category.DEPENDENCY
        return [Finding(check.name, State.AWAY if away else State.BROKEN, error.in_full, check.mend)]
    except Exception as error:  # noqa: BLE001  # the other checks must run
        return [Finding(check.name, State.BROKEN, f"unknown error: {type(error).__name__}", check.mend)]

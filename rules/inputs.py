"""What people ask to start, judged before anything is sent: the type by its name, the input by the type's contract."""

from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from schemas.catalogue import WORKFLOW_TYPES, WorkflowType
from schemas.contract import WorkflowInput
from schemas.errors import InvalidInput, UnknownWorkflowType


def named(kind: str) -> WorkflowType:
    if kind in WORKFLOW_TYPES:
        return WORKFLOW_TYPES[kind]
    close = get_close_matches(kind, WORKFLOW_TYPES, n=1, cutoff=0.4)
    nearest = f" Did you mean {close[0]!r}?" if close else ""
    raise UnknownWorkflowType(f"There is no workflow type {kind!r}.{nearest}")


def validated(kind: WorkflowType, given: Any, where: str) -> WorkflowInput:
    """Every fault is named at once, and no value is echoed."""
    try:
        return kind.takes.model_validate(given)
    except ValidationError as refused:
        raise InvalidInput(f"{kind.name} does not take {where}: {faults(refused, where)}.") from None


def faults(refused: ValidationError, where: str) -> str:
    """Each fault in words, and none of the values."""
    errors = refused.errors(include_input=False, include_url=False)
    return "; ".join(f"{'.'.join(map(str, one['loc'])) or where}: {one['msg']}" for one in errors)

"""Workflow types as people name them, and what they type in: validated before anything is sent."""

import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from schemas.catalogue import WORKFLOW_TYPES, WorkflowType
from schemas.contract import WorkflowInput
from schemas.errors import InvalidInput, UnknownWorkflowType

MAX_INPUT_BYTES: Final = 256 * 1024
"""Payloads stay under 256 KiB (conventions of the design)."""


def named(kind: str) -> WorkflowType:
    if kind in WORKFLOW_TYPES:
        return WORKFLOW_TYPES[kind]
    close = get_close_matches(kind, WORKFLOW_TYPES, n=1, cutoff=0.4)
    nearest = f" Did you mean {close[0]!r}?" if close else ""
    raise UnknownWorkflowType(f"There is no workflow type {kind!r}.{nearest}")


def read_input(kind: WorkflowType, source: str) -> WorkflowInput:
    """JSON or YAML from a file, or `-` for stdin."""
    return validated(kind, _parsed(_text(source)), "the input")


def validated(kind: WorkflowType, given: Any, where: str) -> WorkflowInput:
    """Every fault is named at once, and no value is echoed."""
    try:
        return kind.takes.model_validate(given)
    except ValidationError as refused:
        errors = refused.errors(include_input=False, include_url=False)
        faults = "; ".join(f"{'.'.join(map(str, one['loc'])) or where}: {one['msg']}" for one in errors)
        raise InvalidInput(f"{kind.name} does not take {where}: {faults}.") from None


def _text(source: str) -> bytes:
    try:
        if source == "-":
            text = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        else:
            with Path(source).open("rb") as file:
                text = file.read(MAX_INPUT_BYTES + 1)
    except OSError as refused:
        raise InvalidInput(f"The input {source} can't be read: {refused.strerror}.") from None
    if len(text) > MAX_INPUT_BYTES:
        raise InvalidInput(f"The input is larger than {MAX_INPUT_BYTES} bytes.")
    return text


def _parsed(text: bytes) -> Any:
    """YAML holds JSON. Aliases are refused: a few bytes of them can stand for gigabytes."""
    try:
        decoded = text.decode()
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(decoded, Loader=yaml.SafeLoader)):
            raise InvalidInput("The input has YAML aliases, which are not allowed.")
        return yaml.safe_load(decoded)
    except yaml.MarkedYAMLError as broken:
        line = broken.problem_mark.line + 1 if broken.problem_mark else 1
        raise InvalidInput(f"The input is neither JSON nor YAML, from line {line} or just above.") from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError):
        raise InvalidInput("The input is neither JSON nor YAML.") from None

"""What people give to a command as input: from a file or stdin, validated before anything is sent."""

import sys
from pathlib import Path
from typing import Any, Final

import yaml

from rules.inputs import validated
from schemas.catalogue import WorkflowType
from schemas.contract import WorkflowInput
from schemas.errors import InvalidInput

MAX_INPUT_BYTES: Final = 256 * 1024
"""Payloads stay under 256 KiB (conventions of the design)."""


def read_input(kind: WorkflowType, source: str) -> WorkflowInput:
    """JSON or YAML from a file, or `-` for stdin."""
    return validated(kind, _parsed(_text(source)), "the input")


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

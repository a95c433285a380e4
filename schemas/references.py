"""References to secrets: settings, inputs and histories hold these and never a value.

`file:PATH` is a file of mode 0600, `env:NAME` an environment variable, `vault:MOUNT/PATH#FIELD` a field of
a KV version 2 secret. `clients.secrets` resolves them, at the moment of use.
"""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_SHAPES = {
    "file": re.compile(r"file:[^\s\x00]([^\x00-\x1f]*[^\s\x00])?"),
    "env": re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*"),
    "vault": re.compile(r"vault:[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+#[A-Za-z0-9_.-]+"),
}


def _reference(text: str) -> str:
    shape = _SHAPES.get(text.partition(":")[0])
    if shape is None or not shape.fullmatch(text):
        raise ValueError(
            "a secret is given by reference, never as a value: file:PATH, env:NAME or vault:MOUNT/PATH#FIELD"
        )
    return text


SecretRef = Annotated[
    str, AfterValidator(_reference), Field(json_schema_extra={"format": "secret-reference"})
]

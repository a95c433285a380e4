"""What the settings' names, addresses and paths look like."""

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
"""A name that we give: lower-case letters, digits and hyphens, so that it fits into IDs and paths."""


def is_address(name: str) -> bool:
    """Whether a certificate carries it as an IP address, and not as a DNS name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name_or_address(name: str) -> str:
    if is_address(name):
        return str(ipaddress.ip_address(name))
    if ":" in name or name.rpartition(".")[2].isdigit():
        raise ValueError("should be a DNS name, *.NAME or an IP address")
    return name


SubjectName = Annotated[
    str,
    Field(
        pattern=r"^((\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}"
        r"|([0-9]{1,3}\.){3}[0-9]{1,3}|[0-9a-fA-F]*:[0-9a-fA-F:.]+)$",
        max_length=253,
    ),
    AfterValidator(_name_or_address),
]
"""What a certificate may be for: a DNS name, a wildcard, or an IP address (kept in its shortest form)."""

Port = Annotated[int, Field(ge=1, le=65535)]

Path = Annotated[str, Field(min_length=1, max_length=4096, json_schema_extra={"format": "path"})]

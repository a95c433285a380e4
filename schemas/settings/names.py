"""What the settings' names, addresses and paths look like."""

from typing import Annotated

from pydantic import Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
"""A name that we give: lower-case letters, digits and hyphens, so that it fits into IDs and paths."""

DnsName = Annotated[
    str, Field(pattern=r"^(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$", max_length=253)
]

Port = Annotated[int, Field(ge=1, le=65535)]

Path = Annotated[str, Field(min_length=1, max_length=4096, json_schema_extra={"format": "path"})]

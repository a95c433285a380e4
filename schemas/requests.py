"""The bodies of the HTTP API."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from schemas.contract import Contract


class StartRequest(Contract):
    """The body of `POST /v1/runs`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"type": "CertificateRenewal", "input": {"certificate": "www"}}]}
    )

    type: Annotated[str, Field(min_length=1, max_length=200)]
    """A workflow type; `GET /v1/types` lists them."""
    input: dict[str, Any]
    """As `GET /v1/types/{type}/schema` has it."""
    correlation: Annotated[
        str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{6,62}[A-Za-z0-9]$", max_length=64)
    ] = None
    """Yours, kept through logs, spans and lists; else the request's."""


class StartedRun(Contract):
    """The answer to a start."""

    workflow_id: str
    run_id: str
    link: str
    """Its page in the Web UI."""
    correlation_id: str

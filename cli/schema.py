"""`redoubt schema`: what each workflow type takes, as JSON Schema with an example that runs."""

import json
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from cli.output import Format, Output, document, put, say, table
from rules.inputs import named
from schemas.catalogue import WORKFLOW_TYPES, WorkflowType
from schemas.settings.temporal import TemporalSettings


def command(
    kind: Annotated[
        str, typer.Argument(metavar="TYPE", help="The workflow type; all are listed without.")
    ] = "",
    link: Annotated[
        bool, typer.Option("--link", help="Print a link to the Web UI's prefilled start form.")
    ] = False,
    example: Annotated[bool, typer.Option("--example", help="Print the example only.")] = False,
    output: Output = Format.TEXT,
) -> None:
    """Print a workflow type's input as JSON Schema, with an example that runs."""
    if not kind:
        table([_row(one) for one in WORKFLOW_TYPES.values()], ("type", "task_queue", "summary"), output)
        return
    found = named(kind)
    if link:
        from clients.settings import load  # noqa: PLC0415  # only a link needs the settings

        put(start_form(found, load().temporal))
        say(
            f"The form takes the input below; `redoubt schema {kind}` explains it.\n{json.dumps(found.takes.example)}"
        )
    elif example:
        put(json.dumps(found.takes.example))
    else:
        document(input_schema(found))


def input_schema(kind: WorkflowType) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **kind.takes.model_json_schema(),
        "title": kind.name,
        "description": kind.summary,
        "examples": [kind.takes.example],
    }


def start_form(kind: WorkflowType, temporal: TemporalSettings) -> str:
    """The Web UI's start form with everything filled in but the input, which it takes from no link."""
    given = kind.takes.model_validate(kind.takes.example)
    namespace = temporal.namespace_of(kind.capability)
    query = {"workflowId": kind.workflow_id(given), "taskQueue": kind.capability, "workflowType": kind.name}
    return f"{temporal.web_ui.rstrip('/')}/namespaces/{namespace}/workflows/start-workflow?{urlencode(query)}"


def _row(kind: WorkflowType) -> dict[str, str]:
    return {
        "type": kind.name,
        "task_queue": kind.capability,
        "workflow_id": f"{kind.id_prefix}/…",
        "summary": kind.summary,
    }

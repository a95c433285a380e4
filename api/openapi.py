"""What the API's description says beyond its paths: bodies, answers and problems, each with an example that holds.

A test sends each example of a request, and holds each answer and each example of one against its schema.
"""

from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.runs import UPDATES
from schemas.approvals import Vote
from schemas.catalogue import WORKFLOW_TYPES
from schemas.requests import StartedRun, StartRequest
from schemas.runs import Steer

_STATUSES: Final = (400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 431, 500, 503)
_PROBLEM: Final = "Problem"
_REFS, _MODELS = models_json_schema(
    [(model, "validation") for model in (StartRequest, StartedRun, Steer, Vote)],
    ref_template="#/components/schemas/{model}",
)
COMPONENTS: Final = {
    "schemas": {
        **_MODELS["$defs"],
        _PROBLEM: {
            "title": _PROBLEM,
            "description": "Problem details (RFC 9457).",
            "type": "object",
            "required": ["type", "title", "status", "correlation_id"],
            "properties": {
                "type": {"type": "string", "description": "about:blank, or urn:redoubt:error:CODE."},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What is wrong with this request."},
                "what_to_do": {"type": "string"},
                "correlation_id": {"type": "string", "description": "As X-Correlation-Id, and in our log."},
            },
            "additionalProperties": False,
        },
    },
    "securitySchemes": {
        "bearer": {"type": "http", "scheme": "bearer", "description": "An API key or an OIDC token."},
        "certificate": {"type": "mutualTLS", "description": "Where `api.tls` asks for one."},
    },
}
"""Parts that the operations share."""

_SECURITY: Final[list[dict[str, list[str]]]] = [{"bearer": []}, {"certificate": []}]
_SIGNED: Final = {
    "request": "0" * 64,
    "verdict": "approve",
    "approver": "anna",
    "key_id": "anna-1",
    "at": "2026-11-21T10:00:00Z",
    "signature": "AAAA",
}
_ROW: Final = {"workflow_id": "certificate-renewal/www", "type": "CertificateRenewal", "state": "RUNNING"}


def _problems() -> dict[str, Any]:
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {
                "application/problem+json": {
                    "schema": {"$ref": f"#/components/schemas/{_PROBLEM}"},
                    "example": {
                        "type": "about:blank",
                        "title": HTTPStatus(status).phrase,
                        "status": status,
                        "correlation_id": "0af7651916cd43dd8448eb211c80319c",
                    },
                }
            },
        }
        for status in _STATUSES
    }


def _model(model: type[BaseModel]) -> dict[str, Any]:
    return _REFS[model, "validation"]


def _json(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema, "example": example}}}


def _operation(status: int, schema: dict[str, Any], example: Any, **more: Any) -> dict[str, Any]:
    answer = {"description": HTTPStatus(status).phrase, **_json(schema, example)}
    return {"responses": {**_problems(), str(status): answer}, "security": _SECURITY, **more}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _path(name: str, example: str, **schema: Any) -> dict[str, Any]:
    given = {"type": "string", **schema}
    return {"name": name, "in": "path", "required": True, "schema": given, "example": example}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": sorted(properties), "properties": properties}


def _rows(of: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": of}


_TEXT: Final = {"type": "string"}
_RUN: Final = _object(workflow_id=_TEXT)
_RUN_ID: Final = _path("workflow_id", "certificate-renewal/www")
_STARTED: Final = {
    "workflow_id": "certificate-renewal/www",
    "run_id": "019aa3b0-0000-7000-8000-000000000000",
    "link": "http://127.0.0.1:8233/namespaces/default/workflows/certificate-renewal%2Fwww",
    "correlation_id": "0af7651916cd43dd8448eb211c80319c",
}

START: Final = _operation(
    201,
    _model(StartedRun),
    _STARTED,
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": _model(StartRequest),
                "examples": {
                    kind.name: {
                        "summary": kind.summary,
                        "value": {"type": kind.name, "input": kind.takes.example},
                    }
                    for kind in WORKFLOW_TYPES.values()
                },
            }
        },
    },
)
LIST: Final = _operation(
    200,
    _object(runs=_rows(_RUN)),
    {"runs": [_ROW]},
    parameters=[
        _query("type", {"type": "string"}),
        _query("phase", {"type": "string"}),
        _query("subject", {"type": "string"}),
        _query("running", {"type": "boolean"}),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}),
    ],
)
STATUS: Final = _operation(200, _RUN, _ROW, parameters=[_RUN_ID])
UPDATE: Final = _operation(
    200,
    {"type": "object", "description": "What the run answers."},
    {"phase": "switching", "paused": True},
    parameters=[_RUN_ID, _path("name", "pause", enum=[*UPDATES])],
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [_model(Steer), _model(Vote)]},
                "examples": {
                    "pause, resume, abort, end-grace": {"value": {"reason": "a freeze until Monday"}},
                    "approve, reject": {"value": _SIGNED},
                },
            }
        },
    },
)
TYPES: Final = _operation(
    200,
    _object(types=_rows(_object(type=_TEXT, capability=_TEXT, summary=_TEXT))),
    {
        "types": [
            {"type": "CertificateRenewal", "capability": "certificates", "summary": "Renews a certificate."}
        ]
    },
)
SCHEMA: Final = _operation(
    200,
    {"type": "object", "required": ["type", "properties", "examples"], "description": "A JSON Schema."},
    {"title": "CertificateRenewal", "type": "object", "properties": {}, "examples": [{"certificate": "www"}]},
    parameters=[_path("type", "CertificateRenewal")],
)


def described(app: FastAPI) -> dict[str, Any]:
    """The whole description, for `app.openapi`."""
    if app.openapi_schema is None:
        paths = get_openapi(title=app.title, version=app.version, routes=app.routes)
        app.openapi_schema = {**paths, "components": COMPONENTS}
    return app.openapi_schema

"""What the API's description says beyond its paths: bodies, answers and problems, each with an example."""

from http import HTTPStatus
from typing import Any, Final

from schemas.approvals import Vote
from schemas.requests import StartedRun, StartRequest
from schemas.runs import Steer

_STATUSES: Final = (400, 401, 403, 404, 409, 413, 415, 503)
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
                    "example": {
                        "type": "about:blank",
                        "title": HTTPStatus(status).phrase,
                        "status": status,
                        "correlation_id": "0af7651916cd43dd8448eb211c80319c",
                    }
                }
            },
        }
        for status in _STATUSES
    }


def _json(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema, "example": example}}}


def _operation(status: int, schema: dict[str, Any], example: Any, **more: Any) -> dict[str, Any]:
    answer = {"description": HTTPStatus(status).phrase, **_json(schema, example)}
    return {"responses": {**_problems(), str(status): answer}, **more}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


_OBJECT: Final = {"type": "object"}
_STARTED: Final = {
    "workflow_id": "certificate-renewal/www",
    "run_id": "019aa3b0-0000-7000-8000-000000000000",
    "link": "http://127.0.0.1:8233/namespaces/default/workflows/certificate-renewal%2Fwww",
    "correlation_id": "0af7651916cd43dd8448eb211c80319c",
}

START: Final = _operation(
    201,
    StartedRun.model_json_schema(),
    _STARTED,
    requestBody={
        "required": True,
        **_json(
            StartRequest.model_json_schema(), {"type": "CertificateRenewal", "input": {"certificate": "www"}}
        ),
    },
)
LIST: Final = _operation(
    200,
    _OBJECT,
    {"runs": [_ROW]},
    parameters=[
        _query("type", {"type": "string"}),
        _query("phase", {"type": "string"}),
        _query("subject", {"type": "string"}),
        _query("running", {"type": "boolean"}),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 50}),
    ],
)
STATUS: Final = _operation(200, _OBJECT, _ROW, parameters=[_path("workflow_id")])
UPDATE: Final = _operation(
    200,
    _OBJECT,
    {"phase": "switching", "paused": True},
    parameters=[_path("workflow_id"), _path("name")],
    requestBody={
        "required": True,
        "content": {
            "application/json": {
                "schema": {"oneOf": [Steer.model_json_schema(), Vote.model_json_schema()]},
                "examples": {
                    "pause, resume, abort": {"value": {"reason": "a freeze until Monday"}},
                    "approve, reject": {"value": _SIGNED},
                },
            }
        },
    },
)
TYPES: Final = _operation(
    200, _OBJECT, {"types": [{"type": "CertificateRenewal", "capability": "certificates"}]}
)
SCHEMA: Final = _operation(
    200, _OBJECT, {"title": "CertificateRenewal", "type": "object"}, parameters=[_path("type")]
)

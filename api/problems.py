"""How an HTTP answer says what went wrong: problem details (RFC 9457), and nothing else.

An error of the catalogue leaves with its code and what to do; a plain HTTP refusal with its status; whatever else
is raised is logged under the correlation ID and leaves as `Internal`. No stack, path, SQL or input is repeated: what
an error leaves out for that (`schemas.redaction`) is in the log.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route

from schemas.errors import Category, Internal, RedoubtError

_STATUS: Final = {
    Category.INPUT: HTTPStatus.BAD_REQUEST,
    Category.CONFLICT: HTTPStatus.CONFLICT,
    Category.PERMISSION: HTTPStatus.FORBIDDEN,
    Category.DEPENDENCY: HTTPStatus.SERVICE_UNAVAILABLE,
    Category.CHECK: HTTPStatus.UNPROCESSABLE_ENTITY,
    Category.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_STATUS_OF_CODE: Final = {
    "NotAuthenticated": HTTPStatus.UNAUTHORIZED,
    "UnknownSubject": HTTPStatus.NOT_FOUND,
    "UnknownWorkflowType": HTTPStatus.NOT_FOUND,
}
"""Where the category is not enough."""


_log = structlog.get_logger("api.problems")


class Refused(Exception):  # noqa: N818 - it is an answer, not an error of ours
    """A refusal that HTTP has a status for."""

    def __init__(self, status: HTTPStatus, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}


def answer_errors(app: FastAPI) -> None:
    """Let the application answer whatever is raised with problem details."""
    for kind in (Refused, RedoubtError, HTTPException, Exception):
        app.add_exception_handler(kind, _on_error)


async def _on_error(request: Request, error: Exception) -> Response:
    answer = problem(error, request.state.correlation_id)
    if answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(sorted(_methods(request)))
    return answer


def _methods(request: Request) -> set[str]:
    """Of every route to this path: the exception has those of one."""
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    matching = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    return {method for route in matching for method in route.methods or ()}


def problem(error: Exception, correlation_id: str) -> JSONResponse:
    """The answer that says this error."""
    match error:
        case Refused():
            return _plain(error.status, error.detail, error.headers, correlation_id)
        case HTTPException():
            return _plain(HTTPStatus(error.status_code), "", error.headers, correlation_id)
        case RedoubtError():
            return _of_catalogue(error, correlation_id)
        case _:
            return _of_catalogue(Internal("The request could not be served."), correlation_id)


def _plain(
    status: HTTPStatus, detail: str, headers: Mapping[str, str] | None, correlation_id: str
) -> JSONResponse:
    content = {"type": "about:blank", "title": status.phrase, "status": status.value}
    return _answer({**content, **({"detail": detail} if detail else {})}, headers, correlation_id)


def _of_catalogue(error: RedoubtError, correlation_id: str) -> JSONResponse:
    if error.in_full != error.detail:
        _log.warning("in full", code=error.code, detail=error.in_full)
    status = _STATUS_OF_CODE.get(error.code, _STATUS[error.type.category])
    content = {
        "type": f"urn:redoubt:error:{error.code}",
        "title": error.type.meaning,
        "status": status.value,
        "detail": error.detail,
        "what_to_do": error.type.what_to_do,
    }
    headers = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    return _answer(content, headers, correlation_id)


def _answer(
    content: dict[str, str | int], headers: Mapping[str, str] | None, correlation_id: str
) -> JSONResponse:
    return JSONResponse(
        {**content, "correlation_id": correlation_id},
        int(content["status"]),
        headers,
        "application/problem+json",
    )

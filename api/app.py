"""The HTTP API as an ASGI application: its routes, their description, and problem details for whatever is refused.

The description (`/v1/openapi.json`), /livez and /readyz are open; everything else stands behind `api.authentication`.
No browser's page may call it: every Origin is refused.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response

from api import openapi
from api.authentication import Door
from api.guard import Guard
from api.health import Ready, add_health
from api.problems import answer_errors
from api.runs import RunRoutes, Runs
from api.stopping import at_stop
from rules.inputs import named
from schemas.catalogue import WORKFLOW_TYPES
from schemas.policies import Decision
from schemas.principals import Act


def create_app(door: Door, runs: Runs, ready: Ready) -> Guard:
    app = FastAPI(
        title="Redoubt",
        version="1",
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=at_stop(door.close),
    )
    routes, types = RunRoutes(door, runs), _TypeRoutes(door)

    def add(method: str, path: str, endpoint: Callable[..., Any], extra: dict[str, Any]) -> None:
        status = next(int(code) for code in extra["responses"] if code.startswith("2"))
        app.add_api_route(
            path, endpoint, methods=[method], status_code=status, response_model=None, openapi_extra=extra
        )

    add("POST", "/v1/runs", routes.start, openapi.START)
    add("GET", "/v1/runs", routes.listed, openapi.LIST)
    add("POST", "/v1/runs/{workflow_id:path}/updates/{name}", routes.update, openapi.UPDATE)
    add("GET", "/v1/runs/{workflow_id:path}", routes.status, openapi.STATUS)
    add("GET", "/v1/types", types.listed, openapi.TYPES)
    add("GET", "/v1/types/{type}/schema", types.schema, openapi.SCHEMA)
    add_health(app, ready)
    answer_errors(app)
    app.openapi = partial(openapi.described, app)  # type: ignore[method-assign]  # FastAPI's own way to do it
    return Guard(app, ())


class _TypeRoutes:
    def __init__(self, door: Door) -> None:
        self._door = door

    async def listed(self, request: Request) -> Response:
        """The workflow types."""
        await self._known(request)
        rows = [
            {"type": kind.name, "capability": kind.capability, "summary": kind.summary}
            for kind in WORKFLOW_TYPES.values()
        ]
        return JSONResponse({"types": rows})

    async def schema(self, request: Request) -> Response:
        """What a workflow type takes, as JSON Schema with an example."""
        await self._known(request)
        kind = named(request.path_params["type"])
        return JSONResponse({**kind.takes.model_json_schema(), "examples": [kind.takes.example]})

    async def _known(self, request: Request) -> None:
        """Whoever the policy names: types are no secret, and no subject's."""
        caller = await self._door.caller(request, Act.READ)
        decision = Decision(yes=True, why="the policy names them")
        await self._door.settle(request, caller, Act.READ, "types", decision)

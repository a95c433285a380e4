"""The routes that start, list, show and steer runs, each behind the door.

`Runs` is how they reach the cluster: the same functions that the commands use, handed in by who starts the server.
A workflow ID is the idempotency key: a second start for a subject is 409 while the first runs.
"""

from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from fastapi import Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, Door
from api.bodies import read_json
from api.problems import Refused
from clients.temporal.correlation import correlated
from rules.inputs import faults, named, validated
from schemas.approvals import Vote
from schemas.catalogue import WORKFLOW_TYPES, WorkflowType
from schemas.contract import Contract, WorkflowInput
from schemas.errors import InvalidInput, UnknownSubject
from schemas.policies import Decision
from schemas.principals import Act, Principal
from schemas.requests import StartedRun, StartRequest
from schemas.runs import Steer

C = TypeVar("C", bound=Contract)

MAX_BODY: Final = 1 << 20
MAX_LISTED: Final = 1000
UPDATES: Final[dict[str, type[Contract]]] = {
    "pause": Steer,
    "resume": Steer,
    "abort": Steer,
    "end-grace": Steer,
    "approve": Vote,
    "reject": Vote,
}


_FILTERS: Final = frozenset({"type", "phase", "subject", "running", "limit"})


class Wanted(NamedTuple):
    """What a list is asked for; empty: any."""

    kind: str
    phase: str
    subject: str
    running: bool
    limit: int


class Runs(Protocol):
    """Each raises errors of the catalogue; a start and an update are signed for the principal."""

    async def start(self, kind: WorkflowType, given: WorkflowInput, who: Principal) -> dict[str, str]: ...

    async def listed(self, wanted: Wanted) -> list[dict[str, Any]]:
        """Newest first; each with `workflow_id`."""

    async def look(self, workflow_id: str) -> dict[str, Any]: ...

    async def update(self, workflow_id: str, act: Act, given: Contract, who: Principal) -> dict[str, Any]: ...


class RunRoutes:
    def __init__(self, door: Door, runs: Runs) -> None:
        self._door = door
        self._runs = runs

    async def start(self, request: Request) -> Response:
        """Start a run of any workflow type."""
        caller = await self._door.caller(request, Act.START)
        asked = await _body(request, StartRequest)
        kind = named(asked.type)
        given = validated(kind, asked.input, "the input")
        decision = caller.may(Act.START, kind.capability, given.subject)
        await self._door.settle(request, caller, Act.START, given.subject, decision)
        with correlated(asked.correlation or request.state.correlation_id) as correlation:
            started = await self._runs.start(kind, given, caller.principal)
        answer = StartedRun(**started, correlation_id=correlation.id)
        return JSONResponse(answer.model_dump(), HTTPStatus.CREATED)

    async def listed(self, request: Request) -> Response:
        """Runs that the caller may see, newest first."""
        caller = await self._door.caller(request, Act.READ)
        why = f"{caller.principal.name} has {'a' if caller.has_a_role() else 'no'} role"
        decision = Decision(yes=caller.has_a_role(), why=why)
        await self._door.settle(request, caller, Act.READ, "runs", decision)
        rows = await self._runs.listed(_wanted(request))
        return JSONResponse({"runs": [row for row in rows if _visible(caller, str(row["workflow_id"]))]})

    async def status(self, request: Request) -> Response:
        """One run: phase, progress, what it waits for, or how it ended."""
        workflow_id = request.path_params["workflow_id"]
        kind, subject = _named(workflow_id)
        await self._door.admit(request, Act.READ, kind.capability, subject)
        return JSONResponse(await self._runs.look(workflow_id))

    async def update(self, request: Request) -> Response:
        """Pause, resume or abort a run, or hand in a signed vote."""
        name, workflow_id = request.path_params["name"], request.path_params["workflow_id"]
        if name not in UPDATES:
            raise Refused(HTTPStatus.NOT_FOUND, f"The updates are {', '.join(UPDATES)}.")
        kind, subject = _named(workflow_id)
        caller = await self._door.admit(request, Act(name), kind.capability, subject)
        given = await _body(request, UPDATES[name])
        return JSONResponse(await self._runs.update(workflow_id, Act(name), given, caller.principal))


def _visible(caller: Caller, workflow_id: str) -> bool:
    """A run under an ID that names no subject (a person typed it into the Web UI) can't be judged, so is not shown."""
    try:
        kind, subject = _named(workflow_id)
    except UnknownSubject:
        return False
    return caller.may(Act.READ, kind.capability, subject).yes


def _named(workflow_id: str) -> tuple[WorkflowType, str]:
    """The type and the subject that a workflow ID names. Raises `UnknownSubject`."""
    prefix, _, subject = workflow_id.partition("/")
    for kind in WORKFLOW_TYPES.values():
        if kind.id_prefix == prefix and subject:
            return kind, subject
    raise UnknownSubject("No workflow type has IDs like this one.")


def _wanted(request: Request) -> Wanted:
    asked = request.query_params
    if not set(asked) <= _FILTERS:
        raise InvalidInput(f"The filters are {', '.join(sorted(_FILTERS))}.")
    limit, running, kind = asked.get("limit", "50"), asked.get("running", "false"), asked.get("type", "")
    if not (limit.isascii() and limit.isdecimal() and len(limit) <= 4 and 1 <= int(limit) <= MAX_LISTED):  # noqa: PLR2004
        raise InvalidInput(f"limit is a number from 1 to {MAX_LISTED}.")
    if running not in {"true", "false"}:
        raise InvalidInput("running is true or false.")
    if kind:
        named(kind)
    return Wanted(kind, asked.get("phase", ""), asked.get("subject", ""), running == "true", int(limit))


async def _body(request: Request, contract: type[C]) -> C:
    raw = await read_json(request, MAX_BODY)
    try:
        return contract.model_validate_json(raw)
    except ValidationError as refused:
        raise InvalidInput(f"The body is not taken: {faults(refused, 'the body')}.") from None

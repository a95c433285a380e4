"""Temporal's codec-server protocol: POST /encode and /decode take and give `{"payloads": [...]}`.

- Who may: see `api.readers`.
- A decode is recorded as evidence before its answer leaves: who, from where, how many payloads, the digest of each
  as it came (of the ciphertext: a digest of the plain text could be guessed). If it can't be recorded, there is no
  answer (503).
- Encoding is for what people type into the start form. It reveals nothing, so it is not recorded.
"""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import structlog
from fastapi import FastAPI, Request
from google.protobuf import json_format
from starlette.responses import Response
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from api.bodies import read_json
from api.guard import Guard, preflight_answer
from api.health import Ready, add_health
from api.problems import Refused, answer_errors
from api.readers import Principals, Reader, SharedSecrets
from api.stopping import at_stop
from rules.points import reached
from schemas.evidence import Entry, Event, Kind

MAX_BODY: Final = 4 * 1024 * 1024
_MAX_NAMESPACE: Final = 200
_DIGESTS_A_NOTE: Final = 500
"""67 bytes each: a note stays under the 64 KiB of an evidence entry."""

_log = structlog.get_logger("api.codec_server")

Record = Callable[[Entry], None]
"""`Journal.note`."""


def create_app(
    readers: SharedSecrets | Principals,
    allowed_origins: Sequence[str],
    codec: PayloadCodec,
    record: Record,
    ready: Ready,
) -> Guard:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=at_stop(readers.close))
    desk = _Desk(readers, codec, record)
    for prefix in ("", "/{secret_path}"):
        app.add_api_route(f"{prefix}/encode", desk.encode, methods=["POST"])
        app.add_api_route(f"{prefix}/decode", desk.decode, methods=["POST"])
        app.add_api_route(f"{prefix}/{{verb}}", desk.preflight, methods=["OPTIONS"])
    add_health(app, ready)
    answer_errors(app)
    return Guard(app, allowed_origins)


class _Desk:
    """The two services, each behind the same checks in the same order."""

    def __init__(self, readers: SharedSecrets | Principals, codec: PayloadCodec, record: Record) -> None:
        self._readers = readers
        self._codec = codec
        self._record = record

    async def encode(self, request: Request) -> Response:
        await self._readers.known(request)
        payloads = await _payloads(request)
        return _answer(await self._codec.encode(payloads))

    async def decode(self, request: Request) -> Response:
        reader = await self._readers.may_decode(request)
        payloads = await _payloads(request)
        try:
            decoded = await self._codec.decode(payloads)
        except RuntimeError as refused:
            # The codec's words name keys and scopes: they are for the log.
            _log.warning("payloads could not be decoded", payloads=len(payloads), why=str(refused))
            raise Refused(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "A payload is broken, or of a key or scope that is not held here.",
            ) from None
        for note in _notes(payloads, reader, request):
            await asyncio.to_thread(self._record, note)
        reached("decode.recorded")
        return _answer(decoded)

    async def preflight(self, request: Request) -> Response:
        if "secret_path" in request.path_params:
            self._readers.credentials.by_path(request.path_params["secret_path"])
        return preflight_answer()


async def _payloads(request: Request) -> list[Payload]:
    body = await read_json(request, MAX_BODY)
    try:
        given = json.loads(body)
        if isinstance(given, dict):
            return list(json_format.ParseDict(given, Payloads()).payloads)
    except (json_format.ParseError, ValueError, RecursionError):
        _log.info("a body was not payloads", bytes=len(body))  # the parser's own words quote the input
    raise Refused(HTTPStatus.BAD_REQUEST, 'The body is not {"payloads": [...]} of Temporal payloads.')


def _answer(payloads: Sequence[Payload]) -> Response:
    return Response(
        json_format.MessageToJson(Payloads(payloads=payloads), indent=None), media_type="application/json"
    )


def _notes(payloads: Sequence[Payload], reader: Reader, request: Request) -> list[Entry]:
    """One note, or a few where the digests don't fit into one."""
    digests = [
        hashlib.sha256(payload.SerializeToString(deterministic=True)).hexdigest() for payload in payloads
    ]
    pages = [digests[at : at + _DIGESTS_A_NOTE] for at in range(0, len(digests), _DIGESTS_A_NOTE)]
    decode, now = f"decode-{uuid.uuid4()}", datetime.now(UTC)
    return [
        Entry(
            operation=decode,
            step=f"page/{number}",
            kind=Kind.NOTE,
            what=Event.PAYLOAD_DECODED,
            subject="payloads",
            who=reader.who,
            correlation_id=request.state.correlation_id,
            at=now,
            facts={
                **reader.facts,
                "payloads": len(payloads),
                "sha256": list(page),
                "origin": request.headers.get("origin", ""),
                "namespace": request.headers.get("x-namespace", "")[:_MAX_NAMESPACE],
            },
        )
        for number, page in enumerate(pages, start=1)
    ]

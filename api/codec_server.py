"""Temporal's codec-server protocol: POST /encode and /decode take and give `{"payloads": [...]}`.

- Who may: the holder of the bearer token, or, for a Web UI that can send none, whoever knows the secret path. Both
  are compared in constant time; a wrong path is answered like any path that does not exist.
- A decode is recorded as evidence before its answer leaves: who, from where, how many payloads, the digest of each
  as it came (of the ciphertext: a digest of the plain text could be guessed). If it can't be recorded, there is no
  answer (503).
- Encoding is for what people type into the start form. It reveals nothing, so it is not recorded.
"""

import asyncio
import hashlib
import hmac
import json
import re
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
from rules.points import reached
from schemas.errors import InvalidReference
from schemas.evidence import Entry, Event, Kind

MAX_BODY: Final = 4 * 1024 * 1024
_MAX_NAMESPACE: Final = 200
_DIGESTS_A_NOTE: Final = 500
"""67 bytes each: a note stays under the 64 KiB of an evidence entry."""
_UNGUESSABLE: Final = re.compile(rb"[A-Za-z0-9_-]{32,}")

_log = structlog.get_logger("api.codec_server")

Record = Callable[[Entry], None]
"""`Journal.note`."""


class Credentials:
    """What opens the server. Raises `InvalidReference` when nothing does, or when it could be guessed."""

    def __init__(self, token: bytes | None, secret_path: bytes | None) -> None:
        given = {"token": token, "secret_path": secret_path}
        for name, value in given.items():
            if value is not None and not _UNGUESSABLE.fullmatch(value):
                raise InvalidReference(
                    f"codec_server.{name} must have 32 characters or more, of letters, digits, - and _."
                )
        if token is None and secret_path is None:
            raise InvalidReference("The codec server needs codec_server.token or codec_server.secret_path.")
        self._token = token
        self._secret_path = secret_path

    def by_path(self, path: str) -> str:
        if self._secret_path is None or not hmac.compare_digest(path.encode(), self._secret_path):
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        return "secret-path"

    def by_token(self, authorization: str) -> str:
        scheme, _, token = authorization.partition(" ")
        if self._token is None:
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if scheme.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token):
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "Send the codec server's bearer token.",
                {"WWW-Authenticate": "Bearer"},
            )
        return "bearer-token"


def create_app(
    credentials: Credentials,
    allowed_origins: Sequence[str],
    codec: PayloadCodec,
    record: Record,
    ready: Ready,
) -> Guard:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    desk = _Desk(credentials, codec, record)
    for prefix in ("", "/{secret_path}"):
        app.add_api_route(f"{prefix}/encode", desk.encode, methods=["POST"])
        app.add_api_route(f"{prefix}/decode", desk.decode, methods=["POST"])
        app.add_api_route(f"{prefix}/{{verb}}", desk.preflight, methods=["OPTIONS"])
    add_health(app, ready)
    answer_errors(app)
    return Guard(app, allowed_origins)


class _Desk:
    """The two services, each behind the same checks in the same order."""

    def __init__(self, credentials: Credentials, codec: PayloadCodec, record: Record) -> None:
        self._credentials = credentials
        self._codec = codec
        self._record = record

    async def encode(self, request: Request) -> Response:
        self._caller(request)
        payloads = await _payloads(request)
        return _answer(await self._codec.encode(payloads))

    async def decode(self, request: Request) -> Response:
        how = self._caller(request)
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
        for note in _notes(payloads, how, request):
            await asyncio.to_thread(self._record, note)
        reached("decode.recorded")
        return _answer(decoded)

    async def preflight(self, request: Request) -> Response:
        if "secret_path" in request.path_params:
            self._credentials.by_path(request.path_params["secret_path"])
        return preflight_answer()

    def _caller(self, request: Request) -> str:
        if "secret_path" in request.path_params:
            return self._credentials.by_path(request.path_params["secret_path"])
        return self._credentials.by_token(request.headers.get("authorization", ""))


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


def _notes(payloads: Sequence[Payload], how: str, request: Request) -> list[Entry]:
    """One note, or a few where the digests don't fit into one."""
    digests = [
        hashlib.sha256(payload.SerializeToString(deterministic=True)).hexdigest() for payload in payloads
    ]
    pages = [digests[at : at + _DIGESTS_A_NOTE] for at in range(0, len(digests), _DIGESTS_A_NOTE)]
    client = request.client.host if request.client else "unknown"
    decode, now = f"decode-{uuid.uuid4()}", datetime.now(UTC)
    return [
        Entry(
            operation=decode,
            step=f"page/{number}",
            kind=Kind.NOTE,
            what=Event.PAYLOAD_DECODED,
            subject="payloads",
            who=f"codec-server:{how}@{client}",
            correlation_id=request.state.correlation_id,
            at=now,
            facts={
                "payloads": len(payloads),
                "sha256": list(page),
                "origin": request.headers.get("origin", ""),
                "namespace": request.headers.get("x-namespace", "")[:_MAX_NAMESPACE],
            },
        )
        for number, page in enumerate(pages, start=1)
    ]

"""How a signed request travels: in the header `redoubt-principal`, from the client to the run and on to its activities.

It is carried and never judged here: that is the gate's (`activities.authorizing`). Its header is one JSON object.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload

from schemas.errors import NotAuthorized
from schemas.principals import REQUEST_HEADER as HEADER
from schemas.principals import SignedRequest

_JSON: Final = {"encoding": b"json/plain"}

_sent: ContextVar[SignedRequest | None] = ContextVar("redoubt_request_sent", default=None)
_told: ContextVar[dict[str, Payload] | None] = ContextVar("redoubt_request_told", default=None)
_presented: ContextVar[bytes | None] = ContextVar("redoubt_request_presented", default=None)


@contextmanager
def presenting(request: SignedRequest | None) -> Iterator[None]:
    """The start or update that is sent in here carries this request; None: it goes unsigned."""
    token = _sent.set(request)
    try:
        yield
    finally:
        _sent.reset(token)


def sent() -> dict[str, Payload]:
    """The headers of a start or an update that leaves now."""
    request = _sent.get()
    return {} if request is None else {HEADER: payload_of(request)}


def payload_of(request: SignedRequest) -> Payload:
    return Payload(metadata=_JSON, data=request.model_dump_json().encode())


def of(headers: Mapping[str, Payload]) -> SignedRequest | None:
    """The request in these headers. Raises `NotAuthorized` for what is none."""
    if HEADER not in headers:
        return None
    try:
        return SignedRequest.model_validate_json(headers[HEADER].data)
    except ValidationError:
        raise NotAuthorized("This was refused: what came as a signed request is none.") from None


@contextmanager
def telling(headers: Mapping[str, Payload]) -> Iterator[None]:
    """Inside a run: what is done in here was told by an update with these headers."""
    token = _told.set(onward(headers))
    try:
        yield
    finally:
        _told.reset(token)


def told() -> dict[str, Payload] | None:
    """The header of the update that is being handled, empty if it came unsigned; None: none is."""
    return _told.get()


def onward(headers: Mapping[str, Payload]) -> dict[str, Payload]:
    """What a run hands on of the headers that it was started with."""
    return {HEADER: headers[HEADER]} if HEADER in headers else {}


def of_child(memo: Mapping[str, object] | None) -> tuple[dict[str, Payload], dict[str, object]]:
    """The header that a child's memo asks for, and the memo without it."""
    rest = dict(memo or {})
    request = rest.pop(HEADER, None)
    return ({HEADER: payload_of(request)} if isinstance(request, SignedRequest) else {}), rest


def receive(headers: Mapping[str, Payload]) -> None:
    """By an activity's task, before its code: what came is what `presented` says from now on."""
    _presented.set(headers[HEADER].data if HEADER in headers else None)


def presented() -> bytes | None:
    """The request that came with this activity, as it came; None if none did."""
    return _presented.get()

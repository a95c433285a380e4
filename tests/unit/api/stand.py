"""What the tests of the codec server share: a codec that only turns bytes round, records that can be away, requests."""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from api.codec_server import create_app
from api.readers import Credentials, SharedSecrets
from schemas.errors import EvidenceUnavailable
from schemas.evidence import Entry

UI = "http://127.0.0.1:8233"
TOKEN = hashlib.sha256(b"the token").hexdigest()
"""The same in every test process: it stands in the names of parametrised tests."""
SECRET_PATH = hashlib.sha256(b"the path").hexdigest()
CANARY = "canary-4f1d7c"


class Reversing(PayloadCodec):
    """Not encryption: it shows that the server calls its codec, in the right direction."""

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(metadata={"encoding": b"test/reversed"}, data=p.SerializeToString()[::-1])
            for p in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        if any(p.metadata.get("encoding") != b"test/reversed" for p in payloads):
            raise RuntimeError(f"no key for {CANARY}")
        return [Payload.FromString(p.data[::-1]) for p in payloads]


class Records:
    """The one method of the journal that the server uses."""

    def __init__(self) -> None:
        self.notes: list[Entry] = []
        self.away = False
        self.refused = 0

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not holds():  # noqa: ASYNC110 - what is waited for happens in a thread
                await asyncio.sleep(0.01)

    def note(self, entry: Entry) -> None:
        if self.away:
            self.refused += 1
            raise EvidenceUnavailable("The store is away.")
        self.notes.append(entry)


def app_for(records: Records, token: str | None = TOKEN, secret_path: str | None = SECRET_PATH) -> Any:
    async def ready() -> dict[str, str]:
        return {"records": "EvidenceUnavailable" if records.away else "ok"}

    given = [None if value is None else value.encode() for value in (token, secret_path)]
    return create_app(SharedSecrets(Credentials(*given)), (UI,), Reversing(), records.note, ready)


def body(*texts: str) -> dict[str, Any]:
    def payload(text: str) -> dict[str, Any]:
        encoding = base64.b64encode(b"json/plain").decode()
        return {"metadata": {"encoding": encoding}, "data": base64.b64encode(text.encode()).decode()}

    return {"payloads": [payload(text) for text in texts]}


BEARER = {"authorization": f"Bearer {TOKEN}"}


def asks(
    origin: str, method: str = "POST", headers: str = "content-type,x-namespace,authorization"
) -> dict[str, str]:
    return {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": headers,
    }

"""Who may have payloads encoded and decoded by the codec server.

- Without a policy: the holder of the shared token, or, for a Web UI that can send none, whoever knows the secret path.
  Both are compared in constant time; a wrong path is answered like any path that does not exist.
- With a policy, who decodes is somebody: who shows an API key, an OIDC token or a client certificate of a principal.
  A shared secret shows that principal whom the settings name for it, and nobody if they name none. The role `auditor`
  is asked for at each decode, of everything: a payload does not say whose it is.
- Encoding reveals nothing: whoever is known may.
"""

import asyncio
import hmac
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from fastapi import Request
from pydantic import JsonValue

from activities.policies import Held
from api.authentication import Caller, Door
from api.problems import Refused
from rules.roles import allowed_everywhere
from schemas.catalogue import WORKFLOW_TYPES
from schemas.errors import InvalidReference, NotAllowed
from schemas.principals import Act, Principal, Shown

_UNGUESSABLE: Final = re.compile(rb"[A-Za-z0-9_-]{32,}")
PATH, TOKEN = "secret-path", "bearer-token"

_CAPABILITIES: Final = frozenset(kind.capability for kind in WORKFLOW_TYPES.values())


class Credentials:
    """What is shared. Raises `InvalidReference` if it could be guessed."""

    def __init__(self, token: bytes | None, secret_path: bytes | None) -> None:
        given = {"token": token, "secret_path": secret_path}
        for name, value in given.items():
            if value is not None and not _UNGUESSABLE.fullmatch(value):
                raise InvalidReference(
                    f"codec_server.{name} must have 32 characters or more, of letters, digits, - and _."
                )
        self.any: Final = token is not None or secret_path is not None
        self._token = token
        self._secret_path = secret_path

    def by_path(self, path: str) -> str:
        if self._secret_path is None or not hmac.compare_digest(path.encode(), self._secret_path):
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        return PATH

    def holds_token(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        shown = token.strip().encode()
        return (
            self._token is not None and scheme.lower() == "bearer" and hmac.compare_digest(shown, self._token)
        )

    def by_token(self, authorization: str) -> str:
        if self._token is None:
            raise Refused(HTTPStatus.NOT_FOUND, "There is nothing here.")
        if not self.holds_token(authorization):
            raise Refused(
                HTTPStatus.UNAUTHORIZED,
                "Send the codec server's bearer token.",
                {"WWW-Authenticate": "Bearer"},
            )
        return TOKEN


class Reader(NamedTuple):
    who: str
    """For the evidence: the principal, or how somebody unknown is known."""
    facts: dict[str, JsonValue]


class SharedSecrets:
    """Readers of an installation without a policy."""

    def __init__(self, credentials: Credentials) -> None:
        if not credentials.any:
            raise InvalidReference(
                "The codec server needs codec_server.token or codec_server.secret_path, or a policy."
            )
        self.credentials: Final = credentials

    async def known(self, request: Request) -> Reader:
        path = request.path_params.get("secret_path")
        how = (
            self.credentials.by_token(request.headers.get("authorization", ""))
            if path is None
            else self.credentials.by_path(path)
        )
        return Reader(f"codec-server:{how}@{_address(request)}", {})

    async def may_decode(self, request: Request) -> Reader:
        return await self.known(request)

    async def close(self) -> None:
        """When the server stops; there is nothing to be recorded."""


class Principals:
    """Readers of an installation with a policy."""

    def __init__(
        self,
        credentials: Credentials,
        door: Door,
        policy: Callable[[], Held | None],
        holders: Mapping[str, str | None],
    ) -> None:
        """`holders`: for a shared secret (`PATH`, `TOKEN`) the principal whom it shows."""
        self.credentials: Final = credentials
        self._door = door
        self._policy = policy
        self._holders = holders

    async def known(self, request: Request) -> Reader:
        return _reader(request, *await self._caller(request))

    async def may_decode(self, request: Request) -> Reader:
        """Raises `NotAllowed`, as evidence."""
        how, caller = await self._caller(request)
        decision = allowed_everywhere(caller.held.policy, caller.principal, Act.DECODE, _CAPABILITIES)
        if not decision.yes:
            await self._door.settle(request, caller, Act.DECODE, "payloads", decision)
        return _reader(request, how, caller)

    async def close(self) -> None:
        """When the server stops: refusals that were only counted are recorded."""
        await self._door.close()

    async def _caller(self, request: Request) -> tuple[str, Caller]:
        path = request.path_params.get("secret_path")
        if path is not None:
            return PATH, await self._holder(self.credentials.by_path(path))
        if self.credentials.holds_token(request.headers.get("authorization", "")):
            return TOKEN, await self._holder(TOKEN)
        caller = await self._door.caller(request, Act.DECODE)
        return caller.principal.shown.value, caller

    async def _holder(self, how: str) -> Caller:
        held, name = await asyncio.to_thread(self._policy), self._holders.get(how)
        if held is None or name is None or name not in held.policy.principals:
            raise NotAllowed(
                f"With a policy the {how.replace('-', ' ')} shows nobody, unless the settings name a principal for it."
            )
        return Caller(Principal(name=name, shown=Shown.API_KEY), held)


def _reader(request: Request, how: str, caller: Caller) -> Reader:
    facts: dict[str, JsonValue] = {"shown": how, "from": _address(request)}
    return Reader(caller.principal.name, {**facts, "policy_sha256": caller.held.sha256})


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"

"""An OIDC issuer's public keys: found by discovery, kept for a while, fetched again for a key ID that is new.

- One fetch at a time, in the background, within a deadline: an issuer that hangs holds up nobody whose key is known,
  and who waits for it waits `WAIT_S` at most.
- Keys that are older than `REFRESHED_S` are fetched again when they are next used, and used meanwhile. An issuer that
  is away changes nothing until they are `KEPT_S` old; then it is `DependencyUnavailable`: a key that it has withdrawn
  is not trusted for longer because it can't be reached.
- An unknown key ID makes a fetch at most once a minute: whoever sends made-up ones can't make us flood the issuer.
- Only public RSA, EC and Ed25519 keys for signatures count; a shared key in a key set is ignored.
"""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final

import jwt
import structlog

from clients.egress import Egress, Request
from schemas.errors import DependencyUnavailable, EgressRefused, RedoubtError

AGAIN_S: Final = 60.0
RETRY_S: Final = 5.0
"""After a fetch that failed."""
REFRESHED_S: Final = 300.0
KEPT_S: Final = 3600.0
WAIT_S: Final = 3.0
_LARGEST: Final = 256 * 1024
_WITHIN_S: Final = 10.0
_OK: Final = 200
_KINDS: Final = frozenset({"RSA", "EC", "OKP"})
_NEVER: Final = float("-inf")

_log = structlog.get_logger("clients.identities")


class KeySet:
    """Used from one event loop."""

    def __init__(self, issuer: str, egress: Egress, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._egress = egress
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = _NEVER
        self._tried = _NEVER
        self._flight: asyncio.Task[None] | None = None
        self._failure: RedoubtError | None = None
        """What became of the last fetch, if it went wrong."""

    async def key(self, kid: str) -> jwt.PyJWK | None:
        """None: the issuer has no such key. Raises `DependencyUnavailable` where that can't be known."""
        known = self._kept(kid)
        if known is not None and self._age() < REFRESHED_S:
            return known
        flight = self._fetching()
        if known is not None:
            return known
        if flight is not None:
            await asyncio.wait([flight], timeout=WAIT_S)
        known = self._kept(kid)
        if known is None and (failure := self._unknowable()):
            raise failure
        return known

    def _kept(self, kid: str) -> jwt.PyJWK | None:
        return self._keys.get(kid) if self._age() < KEPT_S else None

    def _age(self) -> float:
        return self._clock() - self._fetched

    def _fetching(self) -> asyncio.Task[None] | None:
        """The fetch that is under way, begun if it is time for one."""
        if self._flight is not None and not self._flight.done():
            return self._flight
        again = AGAIN_S if self._failure is None else RETRY_S
        if self._clock() - self._tried < again:
            return None
        self._tried = self._clock()
        self._flight = asyncio.create_task(self._fetch(), name=f"key set of {self._issuer}")
        return self._flight

    def _unknowable(self) -> RedoubtError | None:
        if self._failure is not None:
            return DependencyUnavailable(self._failure.detail, retry_after_s=RETRY_S)
        if self._flight is not None and not self._flight.done():
            return DependencyUnavailable(f"The key set of {self._issuer} is slow.", retry_after_s=RETRY_S)
        return None

    async def _fetch(self) -> None:
        try:
            self._keys = await asyncio.to_thread(self._asked)
        except DependencyUnavailable as away:
            _log.warning("a key set could not be fetched", issuer=self._issuer, why=away.detail)
            self._failure = away
            return
        self._failure, self._fetched = None, self._clock()

    def _asked(self) -> dict[str, jwt.PyJWK]:
        discovered = self._json(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        address = discovered.get("jwks_uri")
        if discovered.get("issuer") != self._issuer or not isinstance(address, str):
            raise DependencyUnavailable(f"What {self._issuer} says of itself is for another issuer.")
        given = self._json(address).get("keys")
        if not isinstance(given, list):
            raise DependencyUnavailable(f"The key set of {self._issuer} has no keys.")
        return {kid: key for one in given for kid, key in _usable(one)}

    def _json(self, url: str) -> dict[str, Any]:
        source = f"the OIDC issuer {self._issuer}"
        try:
            answer = self._egress.send(Request(url, source, largest=_LARGEST, within_s=_WITHIN_S))
            found = json.loads(answer.body) if answer.status == _OK else None
        except EgressRefused as refused:
            raise DependencyUnavailable(refused.in_full) from None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise DependencyUnavailable(f"The key set of {self._issuer} can't be had.")
        return found


def _usable(given: Any) -> list[tuple[str, jwt.PyJWK]]:
    """The key under its ID, or nothing."""
    if not isinstance(given, dict) or given.get("kty") not in _KINDS or given.get("use", "sig") != "sig":
        return []
    kid = given.get("kid")
    try:
        return [(kid, jwt.PyJWK(given))] if isinstance(kid, str) else []
    except jwt.PyJWTError:
        return []

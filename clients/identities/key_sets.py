"""An OIDC issuer's public keys: found by discovery, kept for a while, fetched again for a key ID that is new.

- An unknown key ID makes a fetch at most once a minute: whoever sends made-up ones can't make us flood the issuer.
- Keys are kept an hour. An issuer that is away then is `DependencyUnavailable`: a key it has withdrawn is not trusted
  for longer because it can't be reached.
- Only public RSA, EC and Ed25519 keys for signatures count; a shared key in a key set is ignored.
"""

import json
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import jwt

from clients.egress import Egress, Request
from schemas.errors import DependencyUnavailable, EgressRefused

AGAIN_S: Final = 60.0
KEPT_S: Final = 3600.0
_LARGEST: Final = 256 * 1024
_WITHIN_S: Final = 10.0
_OK: Final = 200
_KINDS: Final = frozenset({"RSA", "EC", "OKP"})
_NEVER: Final = float("-inf")


class KeySet:
    def __init__(self, issuer: str, egress: Egress, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._egress = egress
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched = _NEVER
        self._tried = _NEVER

    def key(self, kid: str) -> jwt.PyJWK | None:
        """None: the issuer has no such key. Raises `DependencyUnavailable` where that can't be known."""
        with self._lock:
            fresh = self._clock() - self._fetched < KEPT_S
            if fresh and kid in self._keys:
                return self._keys[kid]
            if self._clock() - self._tried >= AGAIN_S:
                self._fetch()
            elif not fresh:
                raise DependencyUnavailable(
                    f"The key set of {self._issuer} could not be fetched a moment ago.", retry_after_s=AGAIN_S
                )
            return self._keys.get(kid)

    def _fetch(self) -> None:
        self._tried = self._clock()
        discovered = self._json(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration")
        address = discovered.get("jwks_uri")
        if discovered.get("issuer") != self._issuer or not isinstance(address, str):
            raise DependencyUnavailable(f"What {self._issuer} says of itself is for another issuer.")
        given = self._json(address).get("keys")
        if not isinstance(given, list):
            raise DependencyUnavailable(f"The key set of {self._issuer} has no keys.")
        self._keys = {kid: key for one in given for kid, key in _usable(one)}
        self._fetched = self._clock()

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

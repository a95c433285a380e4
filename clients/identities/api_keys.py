"""API keys: 32 random bytes behind a prefix and an end, shown once; the policy file has their SHA-256.

A key is `redoubt_END_SECRET`: END are seconds since 1970, after which it is refused. The hash is over the whole key, so
that another end is another key. The prefix tells a key from a token, and lets scanners find one that leaked.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from clients.identities import Presented
from schemas.errors import NotAuthenticated
from schemas.policies import Policy
from schemas.principals import Principal, Shown

PREFIX: Final = "redoubt_"
_BYTES: Final = 32
_SHAPE: Final = re.compile(r"redoubt_([1-9][0-9]{9,10})_[A-Za-z0-9_-]{43}", re.ASCII)


def _now() -> datetime:
    return datetime.now(UTC)


def new_key(expires: datetime) -> tuple[str, str]:
    """A key, and the hash that the policy file is to have."""
    key = f"{PREFIX}{int(expires.timestamp())}_{secrets.token_urlsafe(_BYTES)}"
    return key, hash_of(key)


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


class ApiKeys:
    def __init__(self, now: Callable[[], datetime] = _now) -> None:
        self._now = now

    async def principal(self, policy: Policy, presented: Presented) -> Principal | None:
        if presented.bearer is None or not presented.bearer.startswith(PREFIX):
            return None
        shape = _SHAPE.fullmatch(presented.bearer)
        # One message for whatever is wrong before the owner is known: it tells no one what they have guessed.
        name = _owner(policy, presented.bearer) if shape else None
        if shape is None or name is None:
            raise NotAuthenticated("The API key is not one that the policy names.")
        if self._now().timestamp() >= int(shape[1]):
            raise NotAuthenticated("The API key has expired.")
        return Principal(name=name, shown=Shown.API_KEY)


def _owner(policy: Policy, key: str) -> str | None:
    """Every hash is compared, each in constant time."""
    given, found = hash_of(key), None
    for name, entry in policy.principals.items():
        for known in entry.api_keys:
            if hmac.compare_digest(known, given):
                found = name
    return found

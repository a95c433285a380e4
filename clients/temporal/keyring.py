"""The payload codec's keys: versions of one secret, of which the newest encrypts and all decrypt.

- A rotation puts a new version into the store. This process sees it within `refresh_s`; a payload that another
  process has already encrypted with it is read at once, since an unknown key ID is looked up in the store.
- Old versions are never thrown away: a history stays readable.
- While the store does not answer, the keys known so far stay in use.
"""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from schemas.errors import RedoubtError

SECRET: Final = "payload-codec"  # noqa: S105 - the secret's name in the store, not its value
KEY_BYTES: Final = 32

_log = logging.getLogger(__name__)


class PayloadRefused(RuntimeError):  # noqa: N818 - named like the errors of the catalogue
    """A payload that can't be decrypted here and now: the task waits for a worker that can.

    Never an `ApplicationError`, which would fail the run for good. Its text holds no part of the payload.
    """


class VersionedSecrets(Protocol):
    """What the ring asks of a store; the software key store has it."""

    def put_secret(self, name: str, value: bytes) -> int: ...

    def secret(self, name: str, version: int | None = None) -> tuple[int, bytes]: ...

    def secret_versions(self, name: str) -> tuple[int, ...]: ...


class PayloadKey(NamedTuple):
    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"PayloadKey({self.id!r})"


class Ring(Protocol):
    """What the codec asks of a ring; thread-safe."""

    scope: str

    def current(self) -> PayloadKey:
        """The key to encrypt with. Raises `PayloadRefused` if there is none yet."""

    def key(self, key_id: str) -> PayloadKey:
        """Raises `PayloadRefused` for a key that this installation does not have."""


class KeyRing:
    def __init__(
        self,
        store: VersionedSecrets,
        scope: str,
        *,
        refresh_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.scope = scope
        self._store = store
        self._refresh_s = refresh_s
        self._clock = clock
        self._lock = threading.Lock()
        self._keys: dict[str, PayloadKey] = {}
        self._current: PayloadKey | None = None
        self._stale_at = 0.0

    def current(self) -> PayloadKey:
        known = self._current
        if known is not None and self._clock() < self._stale_at:
            return known
        with self._lock:
            return self._refreshed()

    def key(self, key_id: str) -> PayloadKey:
        known = self._keys.get(key_id)
        if known is not None:
            return known
        name, _, version = key_id.rpartition("/")
        if name != SECRET or not (
            version.isdecimal() and version.isascii() and len(version) <= len("4294967296")
        ):
            raise PayloadRefused("The payload names a key that is none of this installation's payload keys.")
        with self._lock:
            return self._read(int(version))

    def versions(self) -> tuple[int, ...]:
        return self._store.secret_versions(SECRET)

    def rotate(self) -> int:
        """Make a new version, which encrypts from now on; the old ones go on decrypting."""
        version = self._store.put_secret(SECRET, secrets.token_bytes(KEY_BYTES))
        self._stale_at = 0.0
        return version

    def _refreshed(self) -> PayloadKey:
        if self._current is not None and self._clock() < self._stale_at:
            return self._current
        try:
            self._current = self._read(None)
        except PayloadRefused:
            if self._current is None:
                raise
            _log.warning("the store of payload keys does not answer; going on with %s", self._current.id)
        self._stale_at = self._clock() + self._refresh_s
        return self._current

    def _read(self, version: int | None) -> PayloadKey:
        try:
            version, value = self._store.secret(SECRET, version)
        except (RedoubtError, OSError) as missing:
            which = "a payload key" if version is None else f"the payload key {SECRET}/{version}"
            raise PayloadRefused(
                f"The software key store of the codec does not give {which} (scope {self.scope}). "
                "`redoubt init` makes the first one; give this process the key store of the installation."
            ) from missing
        if len(value) != KEY_BYTES:
            raise PayloadRefused(f"The payload key {SECRET}/{version} has not {KEY_BYTES} bytes.")
        key = PayloadKey(f"{SECRET}/{version}", value)
        self._keys[key.id] = key
        return key

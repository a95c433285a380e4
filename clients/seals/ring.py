"""Seals by the payload keys, which every worker has: HMAC-SHA256 under a key derived for this purpose alone.

A seal names its key, so it stays good through rotations, as histories do.
"""

import hmac
from collections.abc import Callable
from typing import Final

from clients.temporal.keyring import PayloadKey, PayloadRefused, Ring
from schemas.errors import KeyStoreUnavailable

_PURPOSE: Final = b"redoubt seal 1\0"


class RingSeals:
    def __init__(self, ring: Callable[[], Ring]) -> None:
        """`ring`: asked for when the first seal is."""
        self._ring = ring

    def seal(self, content: bytes) -> str:
        key = _found(self._ring().current)
        return f"{key.id}:{self._mac(key, content)}"

    def genuine(self, content: bytes, seal: str) -> bool:
        key_id, _, mac = seal.rpartition(":")
        if not key_id:
            return False
        key = _found(lambda: self._ring().key(key_id))
        return hmac.compare_digest(mac.encode(), self._mac(key, content).encode())

    def _mac(self, key: PayloadKey, content: bytes) -> str:
        derived = hmac.digest(key.secret, _PURPOSE + self._ring().scope.encode(), "sha256")
        return hmac.digest(derived, content, "sha256").hex()


def _found(look: Callable[[], PayloadKey]) -> PayloadKey:
    try:
        return look()
    except PayloadRefused as missing:
        raise KeyStoreUnavailable(str(missing)) from None

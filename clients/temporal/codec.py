"""Encryption of everything that Temporal stores for us: inputs, results, failures, headers, signals, updates.

- AES-256-GCM over the whole serialized payload, so that its own metadata is hidden too.
- The encryption key is derived (HKDF-SHA256) from the ring's key, the scope and a random salt; the salt is new in
  each process and after `PAYLOADS_PER_SALT` payloads. So the 96-bit random nonces of one derived key stay far
  below the 2^32 that AES-GCM allows, whatever number of processes and restarts share one ring.
- Encoding, key ID, scope and salt stand in the metadata and are bound by the additional data. The scope is there
  and not taken from Temporal's serialization context, which a codec server does not have.
- What can't be decrypted raises `PayloadRefused` (a `RuntimeError`): the task waits for a worker with the key.
- Plain payloads pass: who sent them is judged after decoding. Small ones cost microseconds, so no thread is used.
"""

import functools
import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from google.protobuf.message import DecodeError
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from clients.temporal.keyring import KEY_BYTES, PayloadKey, PayloadRefused, Ring

ENCODING: Final = b"binary/encrypted"
PAYLOADS_PER_SALT: Final = 2**28
_NONCE: Final = 12
_SALT: Final = 16
_PURPOSE: Final = b"redoubt payload codec 1"
_OPENERS: Final = 1024
"""Derived keys kept for decoding: one a process that has written into the histories being read."""


class _Sealer:
    """One derived key for encrypting, and how often it may still be used."""

    def __init__(self, key: PayloadKey, scope: str) -> None:
        self.key_id = key.id
        salt = os.urandom(_SALT)
        self._cipher = _derive(key, scope, salt)
        self._metadata = _metadata(key.id.encode(), scope.encode(), salt)
        self._bound = _bound(self._metadata)
        self._used = itertools.count()

    def spent(self) -> bool:
        return next(self._used) >= PAYLOADS_PER_SALT

    def seal(self, payload: Payload) -> Payload:
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, payload.SerializeToString(), self._bound)
        return Payload(metadata=self._metadata, data=nonce + sealed)


class RedoubtCodec(PayloadCodec):
    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._scope = ring.scope.encode()
        self._sealer: _Sealer | None = None
        self._opener = functools.lru_cache(maxsize=_OPENERS)(self._derived)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._current().seal(payload) for payload in payloads]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [self._open(p) if p.metadata.get("encoding") == ENCODING else p for p in payloads]

    def _current(self) -> _Sealer:
        key, sealer = self._ring.current(), self._sealer
        if sealer is None or sealer.key_id != key.id or sealer.spent():
            self._sealer = sealer = _Sealer(key, self._ring.scope)
        return sealer

    def _open(self, payload: Payload) -> Payload:
        metadata = payload.metadata
        if metadata.get("scope", b"") != self._scope:
            raise PayloadRefused(f"The payload is of another scope than this process's ({self._ring.scope}).")
        cipher = self._opener(metadata.get("key-id", b""), metadata.get("salt", b""))
        try:
            plain = cipher.decrypt(payload.data[:_NONCE], payload.data[_NONCE:], _bound(metadata))
            return Payload.FromString(plain)
        except (InvalidTag, ValueError, DecodeError):
            raise PayloadRefused(
                "The payload is broken: it does not decrypt with the key that it names."
            ) from None

    def _derived(self, key_id: bytes, salt: bytes) -> AESGCM:
        return _derive(self._ring.key(key_id.decode("ascii", "replace")), self._ring.scope, salt)


def _derive(key: PayloadKey, scope: str, salt: bytes) -> AESGCM:
    info = b"\x00".join((_PURPOSE, scope.encode()))
    return AESGCM(HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(key.secret))


def _metadata(key_id: bytes, scope: bytes, salt: bytes) -> dict[str, bytes]:
    return {"encoding": ENCODING, "key-id": key_id, "scope": scope, "salt": salt}


def _bound(metadata: Mapping[str, bytes]) -> bytes:
    """The metadata as one string of bytes in which no field can run into the next."""
    fields = (metadata.get(name, b"") for name in ("encoding", "key-id", "scope", "salt"))
    return b"".join(len(field).to_bytes(4) + field for field in fields)

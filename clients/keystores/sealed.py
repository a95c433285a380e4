"""Files sealed with AES-256-GCM: what they hold can be read by who has the master key, and moved by nobody.

What a file is (its store, kind, ID and version) is bound in as associated data, so that a file that is renamed,
or copied from another store, does not open. Files are written once and never changed: a nonce is drawn for
each, and 2^32 files stay far below the bound of random 96-bit nonces.
"""

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from clients.secrets.files import store_file
from schemas.errors import InvalidReference, KeyStoreUnavailable

_MAGIC = b"RDBT\x01"
_KEY_BYTES = 32
_NONCE_BYTES = 12
_MAX_BYTES = 128 * 1024


@dataclass(frozen=True)
class Label:
    """What a sealed file is: a file opens under this label and no other."""

    store: str
    kind: str
    item: str
    version: int

    def bound(self) -> bytes:
        return _MAGIC + json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


class Seal:
    """`master_key` is 32 bytes, or the same in hexadecimal, as it lies in a secret."""

    def __init__(self, master_key: bytes) -> None:
        self._cipher = AESGCM(_key_from(master_key))

    def write(self, path: Path, label: Label, content: bytes) -> None:
        """Raises `FileExistsError` and leaves what is there."""
        nonce = os.urandom(_NONCE_BYTES)
        store_file(path, _MAGIC + nonce + self._cipher.encrypt(nonce, content, label.bound()))

    def read(self, path: Path, label: Label) -> bytes:
        """Raises `FileNotFoundError`, and `KeyStoreUnavailable` for a file that does not open."""
        with path.open("rb") as file:
            sealed = file.read(_MAX_BYTES)
        nonce, box = sealed[len(_MAGIC) :][:_NONCE_BYTES], sealed[len(_MAGIC) + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, box, label.bound())
        except (InvalidTag, ValueError) as error:
            raise KeyStoreUnavailable(
                f"{label.kind} {label.item} of key store {label.store} does not open: it is damaged, or the master "
                "key is another one."
            ) from error


def _key_from(master_key: bytes) -> bytes:
    """Hexadecimal digits are always read as such: 32 of them are 16 bytes, and too few."""
    if re.fullmatch(rb"[0-9A-Fa-f]*", master_key) and len(master_key) % 2 == 0:
        master_key = bytes.fromhex(master_key.decode("ascii"))
    if len(master_key) != _KEY_BYTES:
        raise InvalidReference("The master key of a software key store is 32 bytes in hexadecimal.")
    return master_key

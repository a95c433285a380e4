"""Checkpoints of the log as text: C2SP signed-note and tlog-checkpoint, Ed25519 (signature type 0x01).

    redoubt.invalid/log                             the origin: the log's and its key's name
    407                                             how many leaves
    Cx1YCV4abAEHM78qa3xXSlMKuC8S/eiizmOxvL3Mm+4=    the root over them

    — redoubt.invalid/log CFTfSZ3O…                 key ID and signature

- What is signed is everything up to and including the newline before the empty line.
- A key's ID is the first four bytes of SHA-256(name, newline, type, public key): it tells keys apart and proves
  nothing by itself.
- What is read is bounded: a note over 64 KiB or with more than 16 signatures is refused before it is taken apart.

Signing and checking signatures is left to the caller: this module only knows the format.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

ED25519 = 0x01
MAX_NOTE_BYTES = 64 * 1024
MAX_SIGNATURES = 16
KEY_ID_BYTES = 4
SIGNATURE_BYTES = 64
PUBLIC_KEY_BYTES = 32
ROOT_BYTES = 32
_MARK = "— "
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_NAME = re.compile(r"[^\s+]{1,255}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


class NoteError(ValueError):
    """The text is no signed note, no checkpoint, or not signed by the key that was asked for."""


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes

    def body(self) -> str:
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n"


@dataclass(frozen=True)
class Signature:
    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True)
class Note:
    body: str
    signatures: tuple[Signature, ...]


def key_id(name: str, public_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([ED25519]) + public_key).digest()[:KEY_ID_BYTES]


def verifier_key(name: str, public_key: bytes) -> str:
    """The public key as note tools take it: NAME+ID+KEY."""
    encoded = _b64(bytes([ED25519]) + public_key)
    return f"{name}+{key_id(name, public_key).hex()}+{encoded}"


def parse_verifier_key(text: str) -> tuple[str, bytes]:
    """The name and the 32 bytes of an Ed25519 verifier key. Raises `NoteError`."""
    name, _, rest = text.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    key = _unb64(encoded)
    if not _NAME.fullmatch(name) or len(key) != 1 + PUBLIC_KEY_BYTES or key[0] != ED25519:
        raise NoteError("a public key is given as NAME+ID+KEY, of type Ed25519")
    if key_id(name, key[1:]).hex() != identity:
        raise NoteError("the public key's ID does not belong to its name and bytes")
    return name, key[1:]


def sign(body: str, name: str, public_key: bytes, signer: Callable[[bytes], bytes]) -> str:
    """The signed note over `body`, which ends in a newline."""
    signature = key_id(name, public_key) + signer(body.encode())
    return f"{body}\n{_MARK}{name} {_b64(signature)}\n"


def parse_note(text: str) -> Note:
    """Raises `NoteError`."""
    if len(text.encode(errors="replace")) > MAX_NOTE_BYTES:
        raise NoteError("the note is too long")
    if _CONTROL.search(text):
        raise NoteError("the note holds a control character")
    body, between, tail = text.rpartition("\n\n")
    if not between or not tail.endswith("\n"):
        raise NoteError("a note is a text, an empty line and signatures")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError("the note has too many signatures")
    return Note(f"{body}\n", tuple(_signature(line) for line in lines))


def parse_checkpoint(body: str) -> Checkpoint:
    """Raises `NoteError`. Extension lines may follow and are left unread."""
    lines = body.split("\n")
    if len(lines) < len(("origin", "size", "root", "end")) or lines[-1]:
        raise NoteError("a checkpoint has at least three lines")
    origin, size, root = lines[0], lines[1], _unb64(lines[2])
    if not origin or not _DECIMAL.fullmatch(size) or len(root) != ROOT_BYTES:
        raise NoteError("a checkpoint's lines are the origin, the size and the root hash in base64")
    return Checkpoint(origin, int(size), root)


def open_checkpoint(
    text: str, name: str, public_key: bytes, verifies: Callable[[bytes, bytes], bool]
) -> Checkpoint:
    """The checkpoint in a note that this key has signed under this name. Raises `NoteError`.

    `verifies(signature, message)` checks with the public key. Signatures of others are ignored, as the
    format wants; one of this key that is wrong refuses the note, whatever else it carries.
    """
    note = parse_note(text)
    expected = key_id(name, public_key)
    ours = [one for one in note.signatures if one.name == name and one.key_id == expected]
    if not ours:
        raise NoteError("no signature is by the log's key")
    if not all(len(one.value) == SIGNATURE_BYTES and verifies(one.value, note.body.encode()) for one in ours):
        raise NoteError("the signature by the log's key is wrong")
    checkpoint = parse_checkpoint(note.body)
    if checkpoint.origin != name:
        raise NoteError("the checkpoint is of another log")
    return checkpoint


def _signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_MARK).partition(" ")
    value = _unb64(encoded) if line.startswith(_MARK) else b""
    if not _NAME.fullmatch(name) or len(value) <= KEY_ID_BYTES:
        raise NoteError("a signature line is a dash, the key's name and base64")
    return Signature(name, value[:KEY_ID_BYTES], value[KEY_ID_BYTES:])


def _b64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _unb64(text: str) -> bytes:
    try:
        value = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise NoteError("base64 was expected") from None
    if _b64(value) != text:
        raise NoteError("base64 was expected in its one canonical form")
    return value

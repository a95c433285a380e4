"""Secrets in files: read only if nobody else could have read or written them, written once and never over.

Every check is made on the open file, not on its name, so that nothing can be exchanged in between.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from schemas.errors import InvalidReference

MAX_SECRET_BYTES = 64 * 1024


def read_file(path: Path) -> bytes:
    """The content of a regular file of ours or root's, mode 0600 or tighter.

    A symbolic link is refused: it would let whoever owns the link choose the file.
    """
    # Errors name the file without its folder: they go to people who need not know how this host is laid out.
    shown = f"file:…/{path.name}"
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = "is a symbolic link" if path.is_symlink() else (error.strerror or "can't be opened").lower()
        raise InvalidReference(f"{shown}: {reason}.") from error
    try:
        _refuse_wide(shown, os.fstat(handle))
        return _bounded(shown, handle)
    finally:
        os.close(handle)


def _refuse_wide(shown: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InvalidReference(f"{shown} is not a regular file.")
    if status.st_uid not in {os.geteuid(), 0}:
        raise InvalidReference(f"{shown} belongs to another user than this process or root.")
    if status.st_mode & 0o177:
        raise InvalidReference(
            f"{shown} has mode {stat.S_IMODE(status.st_mode):04o}, wider than 0600: chmod it."
        )


def _bounded(shown: str, handle: int) -> bytes:
    content = bytearray()
    while chunk := os.read(handle, MAX_SECRET_BYTES + 1 - len(content)):
        content += chunk
        if len(content) > MAX_SECRET_BYTES:
            raise InvalidReference(f"{shown} is larger than {MAX_SECRET_BYTES} bytes: that is no secret.")
    return bytes(content)


def store_file(path: Path, value: bytes) -> None:
    """Write a new file of mode 0600, whole or not at all. Raises `FileExistsError` and leaves what is there.

    The link makes it exclusive and atomic at once: a rename would replace what another process wrote.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(value)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the folder's entries durable: without it a new file may be gone after a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

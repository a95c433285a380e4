"""A folder that is held open, and changed only in steps that are whole after a crash.

Rules:
- Everything is reached by descriptor, relative to the open folder, and no symbolic link is followed: whoever may
  write beside us can't lead us elsewhere. Links that we keep are read as text and compared, never walked through.
- A file is written once, complete and synced, under a name that nobody reads yet; a rename publishes it.
- What one process may change at a time it changes under `lock`, which the kernel drops with its holder.
"""

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from clients.locks import lock

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGEST_FILE = 1 << 20
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class Folder:
    """Raises `OSError`; who calls says in words what it was doing."""

    def __init__(self, descriptor: int) -> None:
        self._fd = descriptor

    @classmethod
    def at(cls, path: str) -> Self:
        folder = cls(os.open(path, _OPEN_FOLDER))
        try:
            folder._refuse(_OTHERS_WRITE)
        except OSError:
            folder.close()
            raise
        return folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._fd)

    def sub(self, name: str) -> "Folder":
        """A folder inside, made if it is missing, that nobody else may read or write."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=self._fd)
            self.sync()
        inside = Folder(os.open(name, _OPEN_FOLDER | os.O_NOFOLLOW, dir_fd=self._fd))
        try:
            inside._refuse(_OTHERS)
        except OSError:
            inside.close()
            raise
        return inside

    def names(self) -> tuple[str, ...]:
        return tuple(os.listdir(self._fd))  # noqa: PTH208 - pathlib knows no descriptors

    def changed_at(self, name: str) -> float:
        return os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mtime

    def read(self, name: str) -> bytes:
        """A private file of ours; refused if others may read it."""
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
        with os.fdopen(descriptor, "rb") as file:
            _ours(os.fstat(descriptor), _OTHERS)
            return file.read(_LARGEST_FILE)

    def write(self, name: str, data: bytes) -> None:
        """A new file of mode 0600, synced; the folder itself is synced by `sync`."""
        descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=self._fd)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)

    def publish(self, name: str, data: bytes) -> None:
        """A new file that is there complete or not at all."""
        draft = f".{name}"
        self.discard(draft)
        try:
            self.write(draft, data)
            self.rename(draft, name)
        except OSError:
            self.discard(draft)
            raise

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        self.sync()

    def link(self, name: str) -> str | None:
        """The text of one of our symbolic links; None if there is none. Something else there is an error."""
        try:
            return os.readlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return None

    def point(self, name: str, text: str) -> None:
        """Make the link `name` say `text`, in one atomic step that needs no free block on a full disk."""
        draft = f".{name}"
        self.discard(draft)
        os.symlink(text, draft, dir_fd=self._fd)
        self.rename(draft, name)

    def discard(self, name: str) -> None:
        """Delete a file, a link (not what it points to) or a whole folder; no error if it is not there."""
        try:
            os.unlink(name, dir_fd=self._fd)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            shutil.rmtree(name, dir_fd=self._fd)
        self.sync()

    def wipe(self, name: str) -> None:
        """Overwrite a file, then delete it; a link is only deleted. Disks that write elsewhere keep what they had."""
        try:
            status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISREG(status.st_mode):
            descriptor = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._fd)
            with os.fdopen(descriptor, "wb") as file:
                file.write(bytes(min(status.st_size, _LARGEST_FILE)))
                file.flush()
                os.fsync(descriptor)
        self.discard(name)

    def sync(self) -> None:
        os.fsync(self._fd)

    @contextlib.contextmanager
    def locked(self, within_s: float) -> Iterator[None]:
        """Alone in here among all processes; `ETIMEDOUT` if another one does not leave in time."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open("lock", flags, 0o600, dir_fd=self._fd)
        try:
            lock(descriptor, within_s, OSError(errno.ETIMEDOUT, "locked by another process"))
            yield
        finally:
            os.close(descriptor)

    def _refuse(self, bits: int) -> None:
        _ours(os.fstat(self._fd), bits)


def _ours(status: os.stat_result, forbidden: int) -> None:
    """Refuse what another user owns or may change: it could be swapped under us."""
    if status.st_uid not in {0, os.geteuid()} or status.st_mode & forbidden:
        raise OSError(errno.EPERM, "open to other users")

"""Take single files out of an archive: only those that are asked for, only regular ones, never more than allowed."""

import pathlib
import shutil
import tarfile
import zipfile
from typing import IO

from clients.tools.way import Unobtainable


def take(archive: pathlib.Path, members: dict[str, str], into: pathlib.Path, max_bytes: int) -> None:
    """Write each member (its path in the archive) to `into` under the name that we give it."""
    into.mkdir(mode=0o755, parents=True, exist_ok=True)
    try:
        if zipfile.is_zipfile(archive):
            _take_zip(archive, members, into, max_bytes)
        else:
            _take_tar(archive, members, into, max_bytes)
    except (OSError, EOFError, KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise Unobtainable(f"the archive can't be read: {error}") from error


def _take_zip(archive: pathlib.Path, members: dict[str, str], into: pathlib.Path, max_bytes: int) -> None:
    with zipfile.ZipFile(archive) as packed:
        for name, member in members.items():
            with packed.open(member) as source:
                _write(source, packed.getinfo(member).file_size, into / name, max_bytes)


def _take_tar(archive: pathlib.Path, members: dict[str, str], into: pathlib.Path, max_bytes: int) -> None:
    with tarfile.open(archive) as packed:
        for name, member in members.items():
            entry = packed.getmember(member)
            source = packed.extractfile(entry) if entry.isreg() else None
            if source is None:
                raise Unobtainable(f"{member} is no file in the archive")
            with source:
                _write(source, entry.size, into / name, max_bytes)


def _write(source: IO[bytes], size: int, to: pathlib.Path, max_bytes: int) -> None:
    # Both readers stop at the size that the archive states, so the statement bounds what is written.
    if size > max_bytes:
        raise Unobtainable(f"{to.name} unpacks to {size} bytes, more than the {max_bytes} allowed")
    with to.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)

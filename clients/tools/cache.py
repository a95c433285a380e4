"""Where tools that we got ourselves lie: `tools/NAME/VERSION/bin/FILE` in a cache outside the checkout.

A version's folder appears in one rename and only under the tool's lock, so what is there is whole, whoever was
killed meanwhile and however many processes get it at once. The cache may be deleted at any time.
"""

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from clients.tools.table import Tool
from clients.tools.way import Say, Unobtainable
from schemas.errors import DependencyUnavailable

_UNFINISHED = ".unfinished-"


def root() -> pathlib.Path:
    """`$REDOUBT_CACHE`, or `redoubt` in the user's cache folder."""
    own = os.environ.get("REDOUBT_CACHE")
    if own:
        return pathlib.Path(own).absolute()
    return (
        pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache").absolute()
        / "redoubt"
    )


def folder(tool: Tool) -> pathlib.Path:
    return root() / "tools" / tool.name / tool.version


def locate(tool: Tool) -> dict[str, pathlib.Path] | None:
    """Each file's name to where it lies, or None if this version is not in the cache."""
    if not tool.version:
        return None
    found = {file.name: folder(tool) / "bin" / file.name for file in tool.files}
    return found if all(os.access(path, os.X_OK) for path in found.values()) else None


@contextlib.contextmanager
def lock(name: str, say: Say) -> Iterator[None]:
    """Hold the lock of this name against every other thread and process; a killed holder loses it at once."""
    place = root() / "locks" / name
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = place.open("a")
    except OSError as error:
        raise DependencyUnavailable(
            f"The cache {root()} can't be written to ({error.strerror}); REDOUBT_CACHE names another folder."
        ) from error
    with file:
        while not _try_lock(file.fileno()):
            say("waiting for another process that does the same")
            time.sleep(0.2)
        yield


def _try_lock(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextlib.contextmanager
def building(tool: Tool) -> Iterator[pathlib.Path]:
    """A folder to put the tool's `bin` in; at the end it becomes the version's folder, or vanishes.

    Hold the tool's lock. A tool that the way put elsewhere leaves the folder empty, and nothing is kept.
    """
    final = folder(tool) if tool.version else root() / "tools" / tool.name / "none"
    final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in final.parent.glob(_UNFINISHED + "*"):
        shutil.rmtree(left)
    work = pathlib.Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=final.parent))
    try:
        yield work
        if any(work.iterdir()):
            _keep(tool, work, final)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _keep(tool: Tool, work: pathlib.Path, final: pathlib.Path) -> None:
    for file in tool.files:
        made = work / "bin" / file.name
        if not made.is_file():
            raise Unobtainable(f"{file.name} was not in it")
        made.chmod(0o755)
    for path in (*work.rglob("*"), work):
        _sync(path)
    if final.exists():  # not whole, or it would have been found
        final.rename(work.with_name(work.name + "-replaced"))
        shutil.rmtree(work.with_name(work.name + "-replaced"))
    work.rename(final)
    _sync(final.parent)


def _sync(path: pathlib.Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)

"""The first way to have a tool: it is on this machine already, and new enough.

PATH is searched, then the folders where systems put what ordinary users don't call (servers, libraries). A tool
counts as found only if all its files are; a version that can't be read counts as too old.
"""

import functools
import os
import pathlib
import re
import shutil
import subprocess

from clients.tools.table import Ask, File, Tool

_SYSTEM_PLACES = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/opt/homebrew/bin")
_ASK_TIMEOUT_S = 20
_MAX_ANSWER = 65536


def locate(tool: Tool) -> dict[str, pathlib.Path] | None:
    """Each file's name to where it lies, or None if one is missing or the tool is too old."""
    found = {}
    for file in tool.files:
        where = _locate(file)
        if where is None:
            return None
        found[file.name] = where
    return found if new_enough(tool, found[tool.files[0].name]) else None


def new_enough(tool: Tool, path: pathlib.Path) -> bool:
    if tool.ask is None or not tool.minimum:
        return True
    told = version(tool.ask, path)
    return bool(told) and _numbers(told) >= _numbers(tool.minimum)


def version(ask: Ask, path: pathlib.Path) -> str:
    """What the program says its version is; empty if it says nothing that we understand."""
    stat = path.stat()
    return _version(ask, path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=256)
def _version(ask: Ask, path: pathlib.Path, _mtime_ns: int, _size: int) -> str:
    try:
        answer = subprocess.run(
            [path, *ask.argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_ASK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    told = re.search(ask.pattern, answer.stdout[:_MAX_ANSWER].decode(errors="replace"), re.MULTILINE)
    return told.group(1) if told else ""


def _locate(file: File) -> pathlib.Path | None:
    folders = [str(folder) for place in file.places for folder in _expand(place)]
    if not file.library:
        folders = [*filter(None, os.get_exec_path()), *folders, *_SYSTEM_PLACES]
    for name in (file.name, *file.names):
        if file.library:
            hits = [pathlib.Path(folder, name) for folder in folders]
            found = next((hit for hit in hits if hit.is_file()), None)
        else:
            hit = shutil.which(name, path=os.pathsep.join(folders))
            found = pathlib.Path(hit).absolute() if hit else None
        if found:
            return found
    return None


def _expand(place: str) -> list[pathlib.Path]:
    """The folders that a pattern names, the highest version first."""
    folders = pathlib.Path("/").glob(place.removeprefix("/"))
    return sorted(folders, key=lambda folder: _numbers(str(folder)), reverse=True)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version))

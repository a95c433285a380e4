"""Programs and libraries from outside: where they are.

    from clients.tools import find
    find("temporal")        # a program: an absolute path
    find("libsofthsm2.so")  # a library too

`find` looks on this machine first (PATH and the system's folders, if new enough), then in our cache. It never
gets anything: that is `redoubt tools install`.
"""

import difflib
import pathlib

from clients.tools import cache, path
from clients.tools.table import Tool, tools
from schemas.errors import DependencyUnavailable


def find(name: str) -> pathlib.Path:
    """Where a file of a tool lies; a tool's name stands for its first file. Raises `DependencyUnavailable`."""
    tool = named(name)
    found = locate(tool)
    if found is None:
        raise DependencyUnavailable(
            f"{name} is not on this machine, or too old; without it {tool.without}. "
            f"Get it with `redoubt tools install {tool.name}`."
        )
    file = tool.file(name)
    return found[file.name if file else tool.files[0].name]


def locate(tool: Tool) -> dict[str, pathlib.Path] | None:
    """Each file's name to where it lies; None if the tool is not to be had without getting it."""
    return path.locate(tool) or cache.locate(tool)


def named(name: str) -> Tool:
    """The tool of this name, or that has a file of this name. Raises `DependencyUnavailable` for a stranger."""
    for tool in tools():
        if tool.file(name):
            return tool
    known = [known for tool in tools() for known in (tool.name, *(file.name for file in tool.files))]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else "."
    raise DependencyUnavailable(f"The table of tools has no {name!r}{hint} `redoubt tools list` shows them.")

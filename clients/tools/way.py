"""Port: a way to get a tool that is not on this machine yet.

A way gives all the files of a tool or none, and leaves nothing behind when it can't. What it fetches is pinned:
a checksum that does not match is refused. It may be killed at any moment and tried again.
"""

import pathlib
from collections.abc import Callable
from typing import Protocol, TypeVar

from clients.tools.table import Tool

Say = Callable[[str], None]
"""Takes what is being done now, in a few words."""

Recipe_contra = TypeVar("Recipe_contra", contravariant=True)


class Unobtainable(Exception):  # noqa: N818 - it ends one way, not the program: the next way is tried
    """Why this way gave nothing, in words for people."""


class Way(Protocol[Recipe_contra]):
    heavy: bool
    """Whether it keeps all cores busy for long, so that only one may run at a time."""

    def get(self, recipe: Recipe_contra, tool: Tool, into: pathlib.Path, say: Say) -> None:
        """Put the tool's files into `into/bin`; the system's package manager puts them where it wants instead.

        Raises `Unobtainable`.
        """

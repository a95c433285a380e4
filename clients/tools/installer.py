"""Get what is missing: each tool by the first of its ways that works, in the table's order.

Two lanes run side by side: the light one (the package manager, downloads) and the heavy one (builds, one at a time
on this machine), so that packages install while the first build runs. A way that fails costs only its own time.
Safe under any number of processes at once: who waits for a tool finds what the other has got.
"""

import concurrent.futures
import contextlib
import pathlib
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

from clients.tools import cache, locate, named, path
from clients.tools.apt import Apt
from clients.tools.download import Download
from clients.tools.go import Go
from clients.tools.maven import Maven
from clients.tools.npm import Npm
from clients.tools.table import AnyWay, Purpose, Tool, tools
from clients.tools.way import Unobtainable, Way
from schemas.contract import Contract

Ways = Mapping[str, Way[Any]]


class Outcome(Contract):
    tool: str
    status: Literal["present", "installed", "missing"]
    version: str = ""
    where: pathlib.Path | None = None
    """The tool's first file."""
    how: str = ""
    """The way that gave it; `path` or `cache` if it was there already."""
    seconds: float = 0.0
    without: str = ""
    """What won't work, if it is missing."""
    tried: tuple[str, ...] = ()
    """Each way that failed, and why."""


class Progress(Protocol):
    """Is called from several threads."""

    def doing(self, tool: str, what: str) -> None: ...

    def done(self, outcome: Outcome) -> None: ...


def needed_for(*purposes: Purpose) -> tuple[str, ...]:
    """The names of the tools that serve any of these purposes."""
    return tuple(tool.name for tool in tools() if set(purposes) & set(tool.needed_by))


def install(names: Iterable[str], progress: Progress) -> list[Outcome]:
    """Get the tools of these names; one outcome each, in the table's order.

    Raises `DependencyUnavailable` for a name that the table does not have, before anything is done.
    """
    wanted = {named(name).name for name in names}
    return get([tool for tool in tools() if tool.name in wanted], progress)


def get(wanted: Sequence[Tool], progress: Progress, ways: Ways | None = None) -> list[Outcome]:
    """Get these tools, the first ones first."""
    jobs = [_Job(tool, progress, ways or _ways()) for tool in wanted]
    pool = concurrent.futures.ThreadPoolExecutor
    with pool(1, "light") as light, pool(1, "heavy") as heavy, _stopped(jobs):
        first = [light.submit(job.light, heavy) for job in jobs]
        return [future.result().result() for future in first]


def inspect(tool: Tool) -> Outcome:
    """How things stand, without getting anything."""
    found = locate(tool)
    if found is None:
        return Outcome(tool=tool.name, status="missing", without=tool.without)
    where = found[tool.files[0].name]
    ours = where.is_relative_to(cache.root())
    version = path.version(tool.ask, where) if tool.ask else tool.version if ours else ""
    how = "cache" if ours else "path"
    return Outcome(tool=tool.name, status="present", version=version, where=where, how=how)


def _ways() -> Ways:
    return {"apt": Apt(), "download": Download(), "npm": Npm(), "go": Go(), "maven": Maven()}


class _Job:
    """One tool on its way through the lanes."""

    def __init__(self, tool: Tool, progress: Progress, ways: Ways) -> None:
        self._tool = tool
        self._progress = progress
        self._ways = ways
        self._left = deque(tool.ways)
        self._tried: list[str] = []
        self._began = time.monotonic()
        self.stopped = False

    def light(self, heavy: concurrent.futures.Executor) -> concurrent.futures.Future[Outcome]:
        """Try the light ways at the front; what is still missing then goes to the heavy lane."""
        self._began = time.monotonic()
        outcome = self._advance(heavy=False)
        if outcome is None:
            return heavy.submit(self._finish)
        done: concurrent.futures.Future[Outcome] = concurrent.futures.Future()
        done.set_result(outcome)
        return done

    def _finish(self) -> Outcome:
        with cache.lock("build", self._say):
            outcome = self._advance(heavy=True)
        return outcome or self._missing()

    def _advance(self, *, heavy: bool) -> Outcome | None:
        """Go through the ways until one has worked; None where the next one belongs into the heavy lane."""
        with cache.lock(self._tool.name, self._say):
            there = inspect(self._tool)
            if there.status == "present":
                return self._report(there)
            while self._left and not self.stopped:
                if self._ways[self._left[0].way].heavy and not heavy:
                    return None
                if self._try(self._left.popleft()):
                    return self._report(inspect(self._tool).model_copy(update=self._got()))
        return self._missing()

    def _try(self, recipe: AnyWay) -> bool:
        try:
            with cache.building(self._tool) as into:
                self._ways[recipe.way].get(recipe, self._tool, into, self._say)
        except (Unobtainable, OSError) as error:
            self._tried.append(f"{recipe.way}: {error}")
            return False
        if locate(self._tool) is not None:
            self._tried.append(recipe.way)
            return True
        self._tried.append(f"{recipe.way}: what it gave is not all there, or older than {self._tool.minimum}")
        return False

    def _got(self) -> dict[str, object]:
        return {"status": "installed", "how": self._tried[-1], "tried": tuple(self._tried[:-1])}

    def _missing(self) -> Outcome:
        tried = tuple(self._tried)
        return self._report(inspect(self._tool).model_copy(update={"tried": tried}))

    def _report(self, outcome: Outcome) -> Outcome:
        told = outcome.model_copy(update={"seconds": round(time.monotonic() - self._began, 1)})
        self._progress.done(told)
        return told

    def _say(self, what: str) -> None:
        if self.stopped:  # also who waits for a lock comes by here
            raise Unobtainable("interrupted")
        self._progress.doing(self._tool.name, what)


@contextlib.contextmanager
def _stopped(jobs: list[_Job]) -> Iterator[None]:
    """Once the caller is interrupted, no job begins another way or waits any longer.

    The programs that run now are interrupted by the same key press, or at the next line that they print.
    """
    try:
        yield
    except BaseException:
        for job in jobs:
            job.stopped = True
        raise

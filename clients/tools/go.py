"""A Go build of a pinned version, from a small module of ours whose go.sum pins every source file.

The user's own Go settings (GOFLAGS, GOPROXY, GOSUMDB) stay as they are. What was compiled before a kill is in Go's
build cache, so the next try goes on from there.
"""

import pathlib
import shutil

from clients.tools.process import run
from clients.tools.table import RECIPES, GoWay, Tool
from clients.tools.way import Say, Unobtainable

_TIMEOUT_S = 2400


class Go:
    heavy = True

    def __init__(self, recipes: pathlib.Path = RECIPES) -> None:
        self._recipes = recipes

    def get(self, recipe: GoWay, tool: Tool, into: pathlib.Path, say: Say) -> None:
        go = shutil.which("go")
        if go is None:
            raise Unobtainable("Go is not installed")
        say(f"building {tool.name} {tool.version} with Go")
        lines = 0

        def heard(line: str) -> None:
            nonlocal lines
            lines += 1
            fetching = line.startswith("go: downloading")
            say(line.removeprefix("go: ") if fetching else f"building with Go: {lines} packages compiled")

        run(
            [go, "build", *_flags(recipe), "-o", f"{into / 'bin'}/", *recipe.packages],
            cwd=self._recipes / recipe.module,
            # A go.work above the checkout must not replace our pinned module.
            env={"GOWORK": "off"},
            timeout_s=_TIMEOUT_S,
            heard=heard,
        )


def _flags(recipe: GoWay) -> list[str]:
    variables = " ".join(f"-X {name}={value}" for name, value in recipe.set.items())
    flags = ["-v", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", f"-s -w {variables}".strip()]
    return [*flags, "-tags", ",".join(recipe.tags)] if recipe.tags else flags

"""A program from an npm package of a pinned version, whose integrity (SHA-512) the table pins too.

`npm pack` fetches the package as it was published, with whatever registry, proxy and credentials the user's npm is
set up for; none of its scripts runs, and nothing but the files that we want leaves the archive.
"""

import base64
import hashlib
import pathlib
import shutil
import tempfile

from clients.tools import archive
from clients.tools.download import system
from clients.tools.process import run
from clients.tools.table import NpmWay, Tool
from clients.tools.way import Say, Unobtainable

_TIMEOUT_S = 600


class Npm:
    heavy = False

    def get(self, recipe: NpmWay, tool: Tool, into: pathlib.Path, say: Say) -> None:
        if recipe.system != system():
            raise Unobtainable(f"the package is for {recipe.system}, not {system()}")
        npm = shutil.which("npm")
        if npm is None:
            raise Unobtainable("npm is not installed")
        say(f"fetching {recipe.package} with npm for {tool.name}")
        with tempfile.TemporaryDirectory() as scratch:
            argv = [
                npm,
                "pack",
                recipe.package,
                "--pack-destination",
                scratch,
                "--ignore-scripts",
                "--silent",
            ]
            run(argv, timeout_s=_TIMEOUT_S, cwd=pathlib.Path(scratch))
            packed = list(pathlib.Path(scratch).glob("*.tgz"))
            if len(packed) != 1:
                raise Unobtainable("npm fetched nothing")
            _check(packed[0], recipe)
            archive.take(packed[0], recipe.members, into / "bin", recipe.max_mib << 20)


def _check(packed: pathlib.Path, recipe: NpmWay) -> None:
    with packed.open("rb") as file:
        found = "sha512-" + base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if found != recipe.integrity:
        raise Unobtainable(f"the integrity of {recipe.package} is {found}, not the pinned one: refused")

"""A Java program and its libraries from Maven, each jar checked against the SHA-256 that is committed beside the pom.

Its start script ends in `exec java`, so that signals reach the program itself.
"""

import hashlib
import pathlib
import shutil

from clients.tools.process import run
from clients.tools.table import RECIPES, MavenWay, Tool
from clients.tools.way import Say, Unobtainable

_TIMEOUT_S = 900
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_SCRIPT = '#!/bin/sh\nexec java -cp "$(dirname "$0")/../lib/*" {main} "$@"\n'


class Maven:
    heavy = False

    def __init__(self, recipes: pathlib.Path = RECIPES) -> None:
        self._recipes = recipes

    def get(self, recipe: MavenWay, tool: Tool, into: pathlib.Path, say: Say) -> None:
        maven = shutil.which("mvn")
        if maven is None or shutil.which("java") is None:
            raise Unobtainable("Java and Maven are not both installed")
        say(f"fetching {tool.name} {tool.version} and its libraries with Maven")
        here = self._recipes / recipe.module
        libraries = into / "lib"
        argv = [maven, "-B", "-q", "-ntp", "-C", "-f", str(here / "pom.xml"), _COPY]
        run([*argv, f"-DoutputDirectory={libraries}"], cwd=here, timeout_s=_TIMEOUT_S)
        _check(libraries, here / "jars.sha256")
        (into / "bin").mkdir(mode=0o755)
        (into / "bin" / tool.files[0].name).write_text(_SCRIPT.format(main=recipe.main), encoding="ascii")


def _check(libraries: pathlib.Path, pinned: pathlib.Path) -> None:
    """The jars are exactly those that are pinned: none changed, none more, none less."""
    lines = (line.split() for line in pinned.read_text("ascii").splitlines())
    wanted = {name: digest for digest, name in lines}
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in libraries.glob("*")}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise Unobtainable(f"not as pinned, so refused: {', '.join(wrong)}")

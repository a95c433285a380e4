"""Every module that a tool's go.mod requires has its sum in go.sum, so that a build fetches nothing unpinned.

Go itself refuses a build with a sum missing; this says so before anyone waits for the build.
"""

import pathlib
import re

from deploy.checks.finding import ROOT, Verdict, tracked, verdict

_REQUIRED = re.compile(
    r"^\s*(?:require\s+)?(?P<module>[\w.~/-]+\.[\w.~/-]+) (?P<version>v[\w.+-]+)", re.MULTILINE
)
_REPLACED = re.compile(
    r"^\s*(?:replace\s+)?(?P<old>\S+)(?: v\S+)? => (?P<module>\S+) (?P<version>v[\w.+-]+)", re.MULTILINE
)


def check() -> Verdict:
    modules = [name for name in tracked() if name.name == "go.mod"]
    return verdict([finding for name in modules for finding in _missing(ROOT / name)])


def _missing(module: pathlib.Path) -> list[str]:
    text = module.read_text("utf-8")
    sums = module.with_name("go.sum")
    lines = sums.read_text("utf-8").splitlines() if sums.is_file() else []
    summed = {
        (name, version.removesuffix("/go.mod")) for name, version, _ in (line.split() for line in lines)
    }
    replaced = {found["old"]: (found["module"], found["version"]) for found in _REPLACED.finditer(text)}
    required = {
        (found["module"], found["version"]) for found in _REQUIRED.finditer(text) if "=>" not in found[0]
    }
    wanted = {replaced.get(name, (name, version)) for name, version in required}
    folder = module.parent.name
    return [f"{folder}: go.sum has no sum for {name} {version}" for name, version in sorted(wanted - summed)]

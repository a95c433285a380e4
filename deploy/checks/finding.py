"""What a check says, and the files that checks look at."""

import pathlib
import subprocess
from dataclasses import dataclass
from typing import Literal

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Verdict:
    word: Literal["passed", "FAILED", "NOT AUDITED"]
    findings: tuple[str, ...] = ()
    """A line for each thing that is wrong."""
    why: str = ""


def verdict(findings: list[str]) -> Verdict:
    return Verdict("FAILED" if findings else "passed", tuple(findings))


def tracked() -> list[pathlib.Path]:
    """The repository's files, relative to its root, as they are in the checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    names = [pathlib.Path(name) for name in listed.decode().split("\0") if name]
    return [name for name in names if (ROOT / name).is_file()]

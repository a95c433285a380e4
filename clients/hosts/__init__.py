"""Port: another host, on which programs are run and to which files are brought.

A program is an argument list; what its words hold never becomes a command of its own. Whatever is done may be done
twice: a connection that breaks in the middle leaves open whether the far side has acted, so callers send only what
is idempotent there. Methods raise `TargetUnreachable`, `TargetRefused` (our user or key) and `HostKeyRefused`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from schemas.contract import Contract


class Answer(Contract):
    code: int
    """The exit code; 128 + N for a program that a signal N has ended."""
    output: bytes
    words: str
    """The end of what it said on its standard error, printable."""


class Host(Protocol):
    name: str

    def run(self, argv: Sequence[str], timeout_s: float) -> Answer:
        """Run a program to its end. Its output is bounded: 1 MiB, and what says more is an error."""

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        """Make `folder` (mode 0700) in one that is there, and in it these files (0600), synced to the disk."""

    def close(self) -> None:
        """End the connection; the next use makes another."""

"""Versions of a certificate on a target: who may change it, when a new one is really served, what may be deleted.

Rules and invariants:
- A stamp is (operation, epoch). Operation IDs sort by time of opening, epoch 2 is an operation's undo. An attempt
  may act only if its stamp is not below the newest one seen on the target: a zombie can't undo an undo.
- A version counts as served once fresh handshakes have shown it, and only it, several times in a row over a while:
  a server's old workers answer beside the new ones for a moment after a reload.
- What names a version, a key or an operation may become the name of a file or of a secret, on another host too: it can
  hold no separator, no dot, and nothing that a shell reads.
- The current version and those that are asked to stay are never deleted; of the others the newest stay.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

Stamp = tuple[str, int]

_VERSION = re.compile(r"[0-9a-f]{64}")
_KEY_ID = re.compile(r"[0-9a-f]{2,128}")
_OPERATION = re.compile(r"[A-Za-z0-9_-]{1,100}")


def is_version(name: str) -> bool:
    """A certificate's fingerprint."""
    return _VERSION.fullmatch(name) is not None


def is_key_id(name: str) -> bool:
    return _KEY_ID.fullmatch(name) is not None


def is_operation(name: str) -> bool:
    return _OPERATION.fullmatch(name) is not None


def admits(newest: Stamp | None, asked: Stamp) -> bool:
    """Whether an attempt with this stamp may act on a target that has seen `newest`."""
    return newest is None or asked >= newest


@dataclass(frozen=True)
class Streak:
    """How often in a row, and for how long, handshakes have shown what is wanted."""

    needed: int = 5
    settle_s: float = 0.5
    length: int = 0
    since: float = 0.0
    last: float = 0.0

    def saw(self, *, wanted: bool, at: float) -> "Streak":
        if not wanted:
            return replace(self, length=0)
        return replace(self, length=self.length + 1, since=self.since if self.length else at, last=at)

    @property
    def settled(self) -> bool:
        return self.length >= self.needed and self.last - self.since >= self.settle_s


def superfluous(
    newest_first: Sequence[str], *, current: str | None, keep: Collection[str], keep_versions: int
) -> tuple[str, ...]:
    """Which versions may be deleted: all but the current one, those of `keep`, and the newest `keep_versions`."""
    spare = [version for version in newest_first if version != current and version not in keep]
    return tuple(spare[keep_versions:])

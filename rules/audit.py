"""What makes the evidence log verify, row by row and in memory that does not grow with it.

- Every row has the next index, and its leaf is the hash of the evidence that it points to.
- Rows point to evidence in the order in which it was recorded, so none stands in the log twice.
- Every checkpoint is signed by the log's key, and its root is the root of that many first rows: so each is
  consistent with every one before it. The newest covers the whole log.
- What the store keeps beside an entry (its key columns, a step's result) is what the entry says.

A finding says where. After one the walk goes on from the next checkpoint that is sound, so one changed row is one
finding or two and not a thousand.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from rules.checkpoints import Checkpoint, NoteError
from rules.merkle import CompactRange, leaf_hash

MAX_FINDINGS = 100


@dataclass(frozen=True)
class Row:
    """One row of the log with the evidence that it points to; `entry` is None if that is gone."""

    index: int
    evidence_id: int
    leaf: bytes
    entry: bytes | None
    operation: str = ""
    step: str = ""
    kind: str = ""
    subject: str = ""
    result: str | None = None

    def place(self) -> str:
        step = f" (operation {self.operation}, step {self.step}, {self.kind})" if self.operation else ""
        return f"log index {self.index}, evidence row {self.evidence_id}{step}"


@dataclass(frozen=True)
class Signed:
    """A checkpoint as it is kept: `tree` is the stored compact range, empty for one that came from outside."""

    size: int
    note: str
    tree: bytes = b""
    origin: str = "checkpoint"

    def place(self) -> str:
        return f"{self.origin} of size {self.size}"


@dataclass(frozen=True)
class Finding:
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass
class Findings:
    first: list[Finding] = field(default_factory=list)
    count: int = 0

    def add(self, where: str, what: str) -> None:
        self.count += 1
        if len(self.first) < MAX_FINDINGS:
            self.first.append(Finding(where, what))


class Walk:
    """Takes the rows and, each when as many rows have passed as its size says, the checkpoints."""

    def __init__(self, opens: Callable[[str], Checkpoint], findings: Findings) -> None:
        self._opens = opens
        self._findings = findings
        self._tree = CompactRange()
        self._sound = 0
        """The size of the last checkpoint that fits."""
        self._signed = 0
        """The size of the last checkpoint that is one."""
        self._signatures = 0
        self._last_evidence = 0
        self.root = self._tree.root()

    def over(
        self, rows: Iterable[Row], checkpoints: Iterable[Signed], progress: Callable[[int], None]
    ) -> int:
        """Walk both to their ends, in order of index and of size; how many rows there were."""
        waiting = iter(checkpoints)
        following = next(waiting, None)
        count = 0
        for row in rows:
            while following is not None and following.size <= row.index:
                self._checkpoint(following)
                following = next(waiting, None)
            self._row(row)
            count += 1
            progress(count)
        while following is not None:
            self._checkpoint(following)
            following = next(waiting, None)
        if not count and not self._signatures:
            self._findings.add("the log", "it is empty: the pool `audit` has not run yet, or all was removed")
        elif self._signed < self._tree.size or not self._signatures:
            self._findings.add(f"log index {self._signed}", "no checkpoint covers the rows from here on")
        self.root = self._tree.root()
        return count

    def _row(self, row: Row) -> None:
        if row.index != self._tree.size:
            self._missing(self._tree.size, row.index)
        if row.evidence_id <= self._last_evidence:
            self._findings.add(row.place(), "it stands in the log twice or out of order")
        self._last_evidence = row.evidence_id
        if row.entry is None:
            self._findings.add(row.place(), "the evidence that it points to is gone")
        elif leaf_hash(row.entry) != row.leaf:
            self._findings.add(row.place(), "the entry was changed: its hash is not the leaf's")
        else:
            for what in contradictions(row):
                self._findings.add(row.place(), what)
        self._tree = self._tree.append(row.leaf)

    def _missing(self, expected: int, found: int) -> None:
        self._findings.add(f"log index {expected}", f"rows are missing: the next one has index {found}")

    def _checkpoint(self, signed: Signed) -> None:
        try:
            checkpoint = self._opens(signed.note)
        except NoteError as wrong:
            self._findings.add(signed.place(), f"{wrong}")
            return
        self._signed, self._signatures = checkpoint.size, self._signatures + 1
        if checkpoint.size != signed.size:
            self._findings.add(signed.place(), f"its note says size {checkpoint.size}")
        elif self._tree.size < signed.size:
            self._findings.add(
                signed.place(), f"the log has only {self._tree.size} rows: its end was cut off"
            )
        elif (self._tree.size, self._tree.root()) != (checkpoint.size, checkpoint.root):
            self._findings.add(
                signed.place(),
                f"its root is not that of the first {signed.size} rows: one of the rows {self._sound} to "
                f"{signed.size - 1} was changed, exchanged or removed together with its hash",
            )
            self._go_on_from(signed, checkpoint)
        else:
            self._sound = signed.size
            self._stored(signed)

    def _stored(self, signed: Signed) -> None:
        if signed.tree and signed.tree != self._tree.encode():
            self._findings.add(signed.place(), "the tree that is stored with it is not the log's")

    def _go_on_from(self, signed: Signed, checkpoint: Checkpoint) -> None:
        """From the stored tree, if that is what was signed: then what follows is judged by itself."""
        try:
            stored = CompactRange.decode(signed.size, signed.tree)
        except ValueError:
            return
        if stored.root() == checkpoint.root:
            self._tree, self._sound = stored, signed.size


def contradictions(row: Row) -> list[str]:
    """Where the columns beside an entry say something else than the entry."""
    try:
        said = json.loads(row.entry or b"")
        facts = said["facts"]
        columns = {name: said[name] for name in ("operation", "step", "kind", "subject")}
        hashed = facts.get("result_sha256")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ["the entry is no entry of evidence"]
    kept = {"operation": row.operation, "step": row.step, "kind": row.kind, "subject": row.subject}
    found = [f"the column {name} was changed" for name, value in columns.items() if kept[name] != value]
    result = None if row.result is None else hashlib.sha256(row.result.encode()).hexdigest()
    if hashed != result:
        found.append("the step's result was changed: its hash is not the entry's")
    return found

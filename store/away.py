"""What of an operation goes on while the store is away: its undo, from what this host remembers.

- Each operation that this host works on is remembered in the spool's folder, authenticated like the spool.
  A worker that is started while the store is away can go on undoing with it.
- An operation that this host has never seen can't go on here: `EvidenceUnavailable`.
- Whether an earlier attempt began a step is not known here unless it is in the spool: so `first` is False, and
  the caller looks at the world before it acts, as after a crash.
"""

import hashlib

from pydantic import JsonValue

from schemas.contract import Contract
from schemas.errors import EvidenceUnavailable
from schemas.evidence import Entry, Kind
from store import Operation, Step
from store.spool import Spool, Spooled


class Remembered(Contract):
    """An operation, with what its row says beyond `Operation`."""

    operation: Operation
    run: str
    who: str


class Away:
    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._known: dict[str, Remembered] = {}

    def remember(self, remembered: Remembered) -> None:
        """Cheap when nothing about it is new."""
        operation = remembered.operation.operation
        if self._known.get(operation) != remembered:
            self._spool.keep(_name(operation), remembered.model_dump(mode="json"))
            self._known[operation] = remembered

    def forget(self, operation: str) -> None:
        self._known.pop(operation, None)
        self._spool.discard(_name(operation))

    def recall(self, operation: str) -> Remembered:
        """Raises `EvidenceUnavailable` if this host never saw it."""
        kept = self._spool.kept(_name(operation))
        if kept is None:
            raise EvidenceUnavailable("The store is away, and this host does not know the operation.")
        remembered = Remembered.model_validate(kept)
        if self._spooled(operation, "undo", Kind.NOTE) is None:
            return remembered
        undoing = remembered.operation.model_copy(update={"undoing": True})
        return remembered.model_copy(update={"operation": undoing})

    def begin(self, entry: Entry) -> Step:
        if self._spooled(entry.operation, entry.step, Kind.INTENT) is None:
            self._append(entry)
        result = self.result(entry.operation, entry.step)
        return Step(operation=entry.operation, step=entry.step, result=result, first=False)

    def finish(self, entry: Entry, result: dict[str, JsonValue]) -> dict[str, JsonValue]:
        earlier = self.result(entry.operation, entry.step)
        if earlier is None:
            self._append(entry, result)
        return result if earlier is None else earlier

    def undo(self, entry: Entry) -> None:
        if self._spooled(entry.operation, entry.step, Kind.NOTE) is None:
            self._append(entry)

    def result(self, operation: str, step: str) -> dict[str, JsonValue] | None:
        outcome = self._spooled(operation, step, Kind.OUTCOME)
        return None if outcome is None else outcome.result

    def _append(self, entry: Entry, result: dict[str, JsonValue] | None = None) -> None:
        facts = {**entry.facts, "spooled": True}
        self._spool.append(Spooled(entry=entry.model_copy(update={"facts": facts}), result=result))

    def _spooled(self, operation: str, step: str, kind: Kind) -> Spooled | None:
        wanted = (operation, step, kind)
        for one in self._spool.pending():
            if (one.entry.operation, one.entry.step, one.entry.kind) == wanted:
                return one
        return None


def _name(operation: str) -> str:
    """A file's name that nothing in the ID can lead out of the folder."""
    return hashlib.sha256(operation.encode()).hexdigest()

"""Ports of our own records.

The journal is the spine of every capability: a step of an operation is begun (its intent is committed) before
its effect and finished (its outcome and the state that it describes, in one transaction) after it. A second
attempt at a step finds what the first has left: nothing, an intent, or an outcome that it must return as it is.
"""

from collections.abc import Iterator
from typing import Protocol

from pydantic import AwareDatetime, JsonValue

from schemas.contract import Contract
from schemas.evidence import Entry, Event


class Operation(Contract):
    operation: str
    """UUIDv7: later operations sort later."""
    kind: str
    """The workflow type."""
    subject: str
    workflow_id: str
    correlation_id: str
    state: dict[str, JsonValue]
    """The plan, fixed when the operation was opened."""
    undoing: bool
    closed: str | None
    """How it ended; None while it is open."""


class Ending(Contract):
    """How a closed operation ended, and when."""

    operation: str
    outcome: str
    at: AwareDatetime


class Step(Contract):
    operation: str
    step: str
    result: dict[str, JsonValue] | None
    """None: begun, outcome unknown."""
    first: bool
    """Whether this call recorded the intent, or an earlier attempt did."""


class Begun(Contract):
    """A step of an operation as the records have it."""

    step: str
    what: Event
    result: dict[str, JsonValue] | None
    """None: begun, outcome unknown."""
    at: AwareDatetime
    """When it was begun first."""
    ended: AwareDatetime | None
    """When its outcome was recorded."""


class Context(Contract):
    """Who acts now, and in which run: what an activity knows and the operation's own record does not."""

    who: str = ""
    run: str = ""
    """`workflow ID/run ID`."""
    correlation_id: str = ""


class Journal(Protocol):
    """Raises `EvidenceUnavailable` when the records can't be written: then nothing new may start."""

    def open(  # noqa: PLR0913  # an operation is all of these
        self,
        *,
        kind: str,
        subject: str,
        workflow_id: str,
        run: str,
        who: str,
        correlation_id: str,
        state: dict[str, JsonValue],
    ) -> Operation:
        """Open an operation, or return the one that is still open on this kind and subject (an earlier run's)."""

    def operation(self, operation: str) -> Operation:
        """Raises `UnknownSubject`."""

    def unfinished(self, kind: str) -> tuple[Operation, ...]:
        """The operations of a workflow type that are open, oldest first."""

    def endings(self, kind: str, subject: str, most: int = 16) -> tuple[Ending, ...]:
        """How the last operations on the subject ended, newest first."""

    def begin(self, operation: str, step: str, what: Event, facts: dict[str, JsonValue]) -> Step:
        """Commit the intent (once); returns the step with its result if it has been finished before.

        Raises `Fenced` if the operation is closed, or undoes itself and the step is not one of the undo
        (steps of an undo are named `undo/…`).
        """

    def finish(
        self,
        operation: str,
        step: str,
        what: Event,
        facts: dict[str, JsonValue],
        result: dict[str, JsonValue],
    ) -> dict[str, JsonValue]:
        """Commit outcome and result in one transaction; if there is a result already, that one is returned."""

    def keep(
        self,
        operation: str,
        step: str,
        what: Event,
        facts: dict[str, JsonValue],
        result: dict[str, JsonValue],
    ) -> None:
        """Begin and finish a step that has no effect but to be remembered, in one transaction; the first counts.

        Raises as `begin`.
        """

    def in_log(self, operation: str, step: str) -> bool:
        """Whether the step's intent stands in the evidence log: what can't be undone waits for it."""

    def result(self, operation: str, step: str) -> dict[str, JsonValue] | None: ...

    def steps(self, operation: str) -> tuple[Begun, ...]:
        """Each step that was begun, in that order."""

    def failed(self, operation: str, step: str, code: str, detail: str) -> None:
        """Keep that an attempt at a step has failed, and by which error; of many attempts the first is kept."""

    def failures(self, operation: str) -> tuple[str, ...]:
        """The steps of which an attempt has failed, whether a later one has ended well or not."""

    def undo(self, operation: str, why: str, by: dict[str, JsonValue] | None = None) -> None:
        """From here on the operation only undoes; again: no effect. Goes on by the spool if the store is away.

        `by`: what the evidence says of who or what has turned it round. Raises `Fenced` where a step was begun that
        can't be undone (`rules.undoing.IRREVOCABLE`).
        """

    def close(self, operation: str, outcome: str, facts: dict[str, JsonValue]) -> None:
        """End it, so that the next run on the subject opens another; again: no effect.

        A step without an outcome gets one that says that it is not known.
        """

    def note(self, entry: Entry) -> None:
        """Record an entry that belongs to no step's effect (a decode, a sweep's decision)."""


class LogRow(Contract):
    index: int
    entry: bytes
    """Canonical JSON, as it was hashed."""


class Log(Protocol):
    """The append-only Merkle log; one sequencer writes, anyone reads."""

    def sequence(self, limit: int = 1000) -> int:
        """Move recorded rows that are not yet in the log into it, each once, and sign a checkpoint; how many."""

    def size(self) -> int: ...

    def rows(self, start: int = 0) -> Iterator[LogRow]: ...

    def checkpoint(self) -> str | None:
        """The newest checkpoint: a signed note (C2SP)."""

"""Approvals on SQL: see `store.approvals.Approvals` for the promises.

What is recorded about one request or one operation is recorded one after the other: SQLite's write lock sees to it,
and on PostgreSQL an advisory lock that is named for it. So a vote's number is its place, for every reader.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from pydantic import JsonValue
from sqlalchemy import Connection, Engine, select

from rules import approvals as rules
from rules import canonical
from rules.counters import Counted
from rules.points import reached
from schemas.approvals import ApprovalRequest, Cast, State, Tally, Vote
from schemas.errors import EvidenceUnavailable, VoteRefused
from schemas.evidence import Entry, Event, Kind
from store import Context
from store.approvals import Use
from store.sql import counters
from store.sql.engine import reading, writing
from store.sql.models import approval_requests, approval_uses, approval_votes
from store.sql.rows import alone, insert_evidence, insert_once

Facts = dict[str, JsonValue]

_DECIDED: Final = {
    State.GRANTED: Event.APPROVAL_GRANTED,
    State.REFUSED: Event.APPROVAL_REFUSED,
    State.EXPIRED: Event.APPROVAL_EXPIRED,
}


class SqlApprovals:
    def __init__(self, engine: Engine, service: str, context: Callable[[], Context] = Context) -> None:
        self._engine: Final = engine
        self._service: Final = f"service:{service}"
        self._context: Final = context

    def ask(self, request: ApprovalRequest, *, instead_of: str | None = None) -> ApprovalRequest:
        digest = rules.digest(request)
        with self._alone(request.operation) as connection:
            found = _latest(connection, request.operation)
            if found is not None and found[1] != instead_of:
                return _request(found[2])
            turn = 1 if found is None else found[0] + 1
            row = {"operation": request.operation, "turn": turn, "digest": digest}
            insert_once(connection, approval_requests, {**row, "request": request.model_dump_json()})
            asked = request.model_dump(mode="json", exclude={"plan"})
            facts: Facts = {"digest": digest, "plan_sha256": canonical.digest(request.plan), **asked}
            self._record(connection, request, digest, Event.APPROVAL_REQUESTED, facts)
        return request

    def latest(self, operation: str) -> ApprovalRequest | None:
        with reading(self._engine, EvidenceUnavailable) as connection:
            found = _latest(connection, operation)
        return None if found is None else _request(found[2])

    def casts(self, digest: str) -> tuple[Cast, ...]:
        with reading(self._engine, EvidenceUnavailable) as connection:
            return _casts(connection, digest)

    def cast(
        self, request: ApprovalRequest, vote: Vote, now: datetime, counted: Counted | None = None
    ) -> Tally:
        with self._alone(vote.request) as connection:
            so_far = _casts(connection, vote.request)
            tally = rules.tally(request, so_far, now)
            if any(_same(one.vote, vote) for one in so_far):
                return tally
            if why := rules.refusal(request, tally, vote, now):
                raise VoteRefused(f"The vote of {vote.approver} was not taken: {why}.")
            if counted is not None and (why := counters.take(connection, counted)):
                raise VoteRefused(
                    f"The vote of {vote.approver} was not taken: its key may have been cloned, for {why}."
                )
            taken = Cast(number=len(so_far) + 1, vote=vote, received=now)
            row = {"digest": vote.request, "number": taken.number, "received": now.isoformat()}
            insert_once(connection, approval_votes, {**row, "vote": vote.model_dump_json()})
            facts: Facts = {"vote": vote.model_dump(mode="json"), "counter": counted and counted.counter}
            step = f"voted/{vote.approver}/{vote.verdict}"
            self._record(
                connection, request, vote.request, Event.APPROVAL_VOTED, facts, who=vote.approver, step=step
            )
            after = rules.tally(request, (*so_far, taken), now)
            self._decided(connection, request, vote.request, after)
        reached("approval.stored")
        return after

    def count(self, request: ApprovalRequest, now: datetime) -> Tally:
        digest = rules.digest(request)
        tally = rules.tally(request, self.casts(digest), now)
        if tally.state is State.EXPIRED:
            with self._alone(digest) as connection:
                tally = rules.tally(request, _casts(connection, digest), now)
                self._decided(connection, request, digest, tally)
        return tally

    def used(self, digest: str) -> Use | None:
        with reading(self._engine, EvidenceUnavailable) as connection:
            return _used(connection, digest)

    def consume(self, request: ApprovalRequest, use: Use) -> Use:
        digest = rules.digest(request)
        with self._alone(digest) as connection:
            if insert_once(connection, approval_uses, {"digest": digest, **use.model_dump()}):
                facts: Facts = {"digest": digest, "by": use.operation, "first_step": use.step}
                self._record(connection, request, digest, Event.APPROVAL_CONSUMED, facts)
            only = _used(connection, digest)
        reached("approval.consumed")
        if only is None:
            raise EvidenceUnavailable("The use of an approval was not recorded.")
        return only

    def _decided(self, connection: Connection, request: ApprovalRequest, digest: str, tally: Tally) -> None:
        if what := _DECIDED.get(tally.state):
            facts = {"digest": digest, **tally.model_dump(mode="json", exclude={"asked", "may_act"})}
            self._record(connection, request, digest, what, facts)

    def _record(  # noqa: PLR0913 - an entry is all of these
        self,
        connection: Connection,
        request: ApprovalRequest,
        digest: str,
        what: Event,
        facts: Facts,
        *,
        who: str = "",
        step: str = "",
    ) -> None:
        context = self._context()
        entry = Entry(
            operation=request.operation,
            step=f"approval/{digest[:32]}/{step or what.partition('.')[2]}",
            kind=Kind.NOTE,
            what=what,
            subject=request.subject,
            who=who or context.who or self._service,
            run=context.run,
            correlation_id=context.correlation_id,
            at=datetime.now(UTC),
            facts=facts,
        )
        insert_evidence(connection, entry)

    @contextmanager
    def _alone(self, name: str) -> Iterator[Connection]:
        """A transaction in which nobody else records about this request or operation."""
        with writing(self._engine) as connection:
            alone(connection, f"approvals {name}")
            yield connection


def _latest(connection: Connection, operation: str) -> tuple[int, str, str] | None:
    """Turn, digest and text."""
    table = approval_requests
    query = (
        select(table.c.turn, table.c.digest, table.c.request)
        .where(table.c.operation == operation)
        .order_by(table.c.turn.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else (row.turn, row.digest, row.request)


def _casts(connection: Connection, digest: str) -> tuple[Cast, ...]:
    table = approval_votes
    rows = connection.execute(select(table).where(table.c.digest == digest).order_by(table.c.number))
    return tuple(
        Cast(number=row.number, vote=Vote.model_validate_json(row.vote), received=row.received)
        for row in rows
    )


def _used(connection: Connection, digest: str) -> Use | None:
    row = connection.execute(select(approval_uses).where(approval_uses.c.digest == digest)).first()
    return None if row is None else Use(operation=row.operation, step=row.step)


def _request(stored: str) -> ApprovalRequest:
    return ApprovalRequest.model_validate_json(stored)


def _same(one: Vote, other: Vote) -> bool:
    """The same person's same word: with whichever key, and whenever it was signed."""
    return (one.approver, one.verdict) == (other.approver, other.verdict)

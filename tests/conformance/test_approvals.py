"""The port `Approvals`, as every implementation must keep it: on SQLite and on PostgreSQL."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from rules.approvals import digest
from rules.counters import Counted
from schemas.approvals import ApprovalRequest, State, Verdict, Vote
from schemas.errors import VoteRefused
from store import Context
from store.approvals import Approvals, Use
from store.sql.approvals import SqlApprovals
from store.sql.engine import reading
from store.sql.models import evidence
from tests.unit.approvals.making import AT, request, rule, vote

SOON = AT + timedelta(minutes=1)


@pytest.fixture
def approvals(engine: Engine) -> Approvals:
    return SqlApprovals(engine, "certificates", lambda: Context(run="w/1", correlation_id="c-1"))


@pytest.fixture
def asked(approvals: Approvals) -> ApprovalRequest:
    return approvals.ask(request(rule(("anna", "ben", "cleo"))))


def recorded(engine: Engine) -> list[dict[str, Any]]:
    with reading(engine) as connection:
        rows = connection.execute(select(evidence.c.entry).order_by(evidence.c.id)).scalars().all()
    return [json.loads(row) for row in rows]


def events(engine: Engine) -> list[str]:
    return [one["what"].removeprefix("approval.") for one in recorded(engine)]


def test_a_request_is_kept_as_it_was_asked_with_its_evidence(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest
) -> None:
    assert approvals.latest("op-1") == asked
    assert digest(approvals.latest("op-1") or asked) == digest(asked)
    assert approvals.latest("op-2") is None
    (entry,) = recorded(engine)
    assert (entry["what"], entry["run"], entry["facts"]["digest"]) == (
        "approval.requested",
        "w/1",
        digest(asked),
    )
    assert "plan" not in entry["facts"]


def test_of_two_that_ask_at_once_the_first_one_holds(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest
) -> None:
    later = [asked.model_copy(update={"asked_at": AT + timedelta(seconds=n)}) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert set(map(digest, pool.map(approvals.ask, later))) == {digest(asked)}
    assert events(engine) == ["requested"]


def test_a_later_request_makes_the_earlier_one_void(approvals: Approvals, asked: ApprovalRequest) -> None:
    changed = asked.model_copy(update={"plan": {"names": ["other.example.com"]}})
    assert approvals.ask(changed, instead_of=digest(asked)) == changed
    assert approvals.latest("op-1") == changed
    again = asked.model_copy(update={"policy_version": 9})
    assert approvals.ask(again, instead_of=digest(asked)) == changed
    assert approvals.casts(digest(changed)) == ()


def test_votes_are_numbered_in_the_order_in_which_they_came(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest
) -> None:
    yes = vote(asked, "anna"), vote(asked, "ben")
    assert approvals.cast(asked, yes[0], SOON, Counted("anna", 7, "a" * 64, yes[0].at)).state is State.WAITING
    assert approvals.cast(asked, yes[1], SOON).state is State.GRANTED
    assert [(one.number, one.vote, one.received) for one in approvals.casts(digest(asked))] == [
        (1, yes[0], SOON),
        (2, yes[1], SOON),
    ]
    assert events(engine) == ["requested", "voted", "voted", "granted"]
    first, _, granted = recorded(engine)[1:]
    assert (first["who"], first["facts"]["counter"]) == ("anna", 7)
    assert first["facts"]["vote"]["signature"] == yes[0].signature
    assert granted["facts"]["approved_by"] == ["anna", "ben"]


def test_a_key_that_seems_to_be_cloned_is_not_counted(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest
) -> None:
    annas, bens = vote(asked, "anna"), vote(asked, "ben")
    approvals.cast(asked, annas, SOON, Counted("one-key", 7, "a" * 64, annas.at))
    with pytest.raises(VoteRefused, match="may have been cloned"):
        approvals.cast(asked, bens, SOON, Counted("one-key", 7, "b" * 64, bens.at))
    assert len(approvals.casts(digest(asked))) == 1
    assert events(engine) == ["requested", "voted"]
    # What was refused has left no count, and another key has counts of its own.
    assert approvals.cast(asked, bens, SOON, Counted("another", 7, "b" * 64, bens.at)).state is State.GRANTED


def test_the_same_vote_again_has_no_effect(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest
) -> None:
    for key in "112":
        assert approvals.cast(asked, vote(asked, "anna", key=key), SOON).approved_by == ("anna",)
    assert events(engine) == ["requested", "voted"]


def test_a_vote_that_cant_count_is_refused_and_leaves_nothing(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest
) -> None:
    other = request(asked.rule, operation="op-2")
    for wrong, at in (
        (vote(asked, "sam"), SOON),
        (vote(asked, "olga"), SOON),
        (vote(other, "anna"), SOON),
        (vote(asked, "anna"), asked.expires),
    ):
        with pytest.raises(VoteRefused, match=r"was not taken"):
            approvals.cast(asked, wrong, at)
    assert approvals.casts(digest(asked)) == ()
    assert events(engine) == ["requested"]


def test_one_rejection_ends_it(approvals: Approvals, engine: Engine, asked: ApprovalRequest) -> None:
    approvals.cast(asked, vote(asked, "anna"), SOON)
    ended = approvals.cast(asked, vote(asked, "anna", Verdict.REJECT), SOON)
    assert (ended.state, ended.rejected_by) == (State.REFUSED, "anna")
    with pytest.raises(VoteRefused, match="refused already"):
        approvals.cast(asked, vote(asked, "ben"), SOON)
    assert events(engine)[-1] == "refused"


def test_of_many_votes_at_once_each_counts_once(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest
) -> None:
    def send(one: Vote) -> str:
        try:
            return approvals.cast(asked, one, SOON).state
        except VoteRefused:
            return "late"

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(send, [vote(asked, name) for name in ("anna", "ben", "cleo") * 4]))
    assert {"waiting", "granted"} <= set(said)
    assert [one.number for one in approvals.casts(digest(asked))] == [1, 2]
    assert events(engine) == ["requested", "voted", "voted", "granted"]


def test_that_it_has_expired_is_recorded_once(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest
) -> None:
    assert approvals.count(asked, SOON).state is State.WAITING
    for _ in range(2):
        assert approvals.count(asked, asked.expires).state is State.EXPIRED
    assert events(engine) == ["requested", "expired"]


def test_it_is_used_once_and_by_the_same_again(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest
) -> None:
    assert approvals.used(digest(asked)) is None
    mine = Use(operation="op-1", step="key/shared")
    assert approvals.consume(asked, mine) == mine
    assert approvals.consume(asked, mine) == mine
    assert approvals.consume(asked, Use(operation="op-9", step="key/shared")) == mine
    assert approvals.used(digest(asked)) == mine
    assert events(engine) == ["requested", "consumed"]


def test_of_many_that_use_it_at_once_one_does(approvals: Approvals, asked: ApprovalRequest) -> None:
    uses = [Use(operation=f"op-{number}", step="a") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        assert len({one.operation for one in pool.map(lambda use: approvals.consume(asked, use), uses)}) == 1


@pytest.mark.parametrize("table", ["approval_requests", "approval_votes", "approval_uses"])
def test_nothing_of_it_can_be_changed(
    approvals: Approvals, engine: Engine, asked: ApprovalRequest, table: str
) -> None:
    approvals.cast(asked, vote(asked, "anna"), SOON)
    approvals.consume(asked, Use(operation="op-1", step="a"))
    for statement in (f"UPDATE {table} SET digest = ''", f"DELETE FROM {table}"):  # noqa: S608 - our own names
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))

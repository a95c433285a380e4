"""Counters of FIDO2 keys: an honest key is never taken for a clone, and a clone that lags behind is told."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from rules.counters import Counted, Neighbours, cloned
from rules.requests import SKEW
from store.sql.counters import take
from store.sql.engine import connect, writing
from store.sql.migrations import migrate

START = datetime(2026, 11, 26, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def one(counter: int, seconds: float | None, statement: str = "") -> Counted:
    return Counted(
        "key", counter, statement or f"statement-{counter}", None if seconds is None else at(seconds)
    )


def around(mine: Counted, known: Sequence[Counted]) -> Neighbours:
    """As the records know it."""
    lower = [other.at for other in known if other.counter < mine.counter and other.at]
    higher = [other.at for other in known if other.counter > mine.counter and other.at]
    return Neighbours(
        same=next((other.statement for other in known if other.counter == mine.counter), None),
        below=max(lower, default=None),
        above=min(higher, default=None),
        has_counted=any(other.counter for other in known),
    )


@st.composite
def honest(draw: st.DrawFn) -> list[Counted]:
    """What one key has signed, as time went on; some of it says no time."""
    steps = draw(st.lists(st.tuples(st.integers(1, 5), st.floats(0, 500), st.booleans()), max_size=12))
    counter, seconds, signed = 0, 0.0, []
    for up, later, timed in steps:
        counter, seconds = counter + up, seconds + later
        signed.append(one(counter, seconds if timed else None))
    return signed


@given(honest(), st.randoms())
def test_an_honest_key_is_never_taken_for_a_clone_in_whichever_order_it_arrives(
    signed: list[Counted], order: random.Random
) -> None:
    arriving = signed[:]
    order.shuffle(arriving)
    known: list[Counted] = []
    for mine in (*arriving, *arriving):  # each twice: a second attempt changes nothing
        assert cloned(mine, around(mine, known)) == ""
        known.append(mine)


@given(honest().filter(lambda signed: any(other.at for other in signed)), st.data())
def test_a_clone_that_signs_later_at_a_lower_count_is_told(
    signed: list[Counted], data: st.DataObject
) -> None:
    newest = max((other for other in signed if other.at), key=lambda other: other.counter)
    assert newest.at is not None
    lagging = Counted("key", data.draw(st.integers(1, newest.counter)), "forged", newest.at + 2 * SKEW)
    assert cloned(lagging, around(lagging, signed))


@pytest.mark.parametrize(
    ("mine", "told"),
    [
        (one(7, 0, "forged"), "something else at the same count"),
        (one(7, None, "forged"), "something else at the same count"),
        (one(3, 200), "it had counted more at an earlier time"),
        (one(9, -200), "it had counted less at a later time"),
        (one(3, None), ""),  # a policy's signature that was made before, and came late
        (one(3, 30), ""),  # people's clocks differ
        (one(0, 300), "says now that it never signed"),
    ],
)
def test_beside_one_signature_at_count_seven(mine: Counted, told: str) -> None:
    said = cloned(mine, around(mine, [one(7, 0)]))
    assert told in said
    assert bool(told) is bool(said)


def test_a_key_that_never_counts_tells_nothing() -> None:
    known = [one(0, 0, "first")]
    assert cloned(one(0, 500, "second"), around(one(0, 500, "second"), known)) == ""


@contextmanager
def records(folder: Path) -> Iterator[Connection]:
    engine = connect(f"sqlite:///{folder}/records.sqlite")
    migrate(engine)
    with writing(engine) as connection:
        yield connection
    engine.dispose()


def test_the_records_keep_what_the_rule_asks(tmp_path: Path) -> None:
    with records(tmp_path) as connection:
        for mine in (one(7, 0), one(7, 0), one(9, 100), one(8, 50)):
            assert take(connection, mine) == ""
        assert "something else" in take(connection, one(8, 50, "forged"))
        assert "counted more" in take(connection, one(6, 400))
        assert take(connection, one(6, 400)._replace(key="another")) == ""

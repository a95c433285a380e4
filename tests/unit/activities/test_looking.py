"""Subjects looked at side by side: each has an answer, and none that hangs keeps the others, or who asks, waiting."""

import threading
from collections import deque
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.looking import Looks, _Round, seen
from schemas.errors import DependencyOpen, HostKeyRefused, RedoubtError, TargetUnreachable

PATIENT = Looks(at_once=4, each_s=2.0, all_s=60.0)
"""Where some hang: each is waited for as long as it takes an answer that is there to be heard on any machine."""


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a target that hangs waits for; set at the end, so that no thread is left."""
    event = threading.Event()
    yield event
    event.set()


@given(
    st.dictionaries(st.text(min_size=1), st.integers(), max_size=30), st.integers(min_value=1, max_value=9)
)
def test_each_has_its_answer_in_the_order_given(subjects: dict[str, int], at_once: int) -> None:
    answers = Looks(at_once=at_once).at(subjects, lambda number: number + 1)
    assert list(answers.items()) == [(name, number + 1) for name, number in subjects.items()]


def test_so_many_are_looked_at_at_once_and_no_more() -> None:
    """Nobody goes on before four are there; a fifth would be seen."""
    together, looking, most = threading.Barrier(4), threading.Semaphore(4), []

    def look(name: str) -> str:
        most.append(looking.acquire(blocking=False))
        together.wait()
        looking.release()
        return name

    names = {f"web-{number}": f"web-{number}" for number in range(12)}
    assert Looks(at_once=4).at(names, look) == names
    assert all(most)


def test_those_that_hang_give_their_places_to_the_others(never: threading.Event) -> None:
    """More hang than may be looked at at once, and stand first."""

    def look(name: str) -> str:
        if name.startswith("hung"):
            never.wait()
        return name

    names = [*(f"hung-{number}" for number in range(5)), "web-1", "web-2"]
    answers = PATIENT.at({name: name for name in names}, look)
    assert {name for name, one in answers.items() if isinstance(one, TargetUnreachable)} == set(names[:5])
    assert (answers["web-1"], answers["web-2"]) == ("web-1", "web-2")
    assert str(answers["hung-0"]).startswith("hung-0 did not answer in time.")


def test_an_answer_that_is_there_is_heard_however_late_who_asks_looks_up() -> None:
    """Both have answered, and for both the time is over."""
    turn = _Round[None, int](Looks(), lambda _: 0, deque(), under_way={"web-1": 0.0, "web-2": 0.0})
    turn.ended.put(("web-1", 1))
    turn.ended.put(("web-2", 2))
    assert turn.whole() == {"web-1": 1, "web-2": 2}


def test_all_that_hang_keep_who_asks_no_longer_than_all_may_take(never: threading.Event) -> None:
    names = {f"hung-{number}": 0 for number in range(50)}
    answers = Looks(at_once=4, each_s=60.0, all_s=2.0).at(names, lambda _: never.wait())
    told = [str(one) for one in answers.values() if isinstance(one, TargetUnreachable)]
    assert len(told) == 50
    assert sum("its turn did not come" in words for words in told) == 46


def test_what_is_no_error_of_ours_is_raised() -> None:
    def look(name: str) -> None:
        raise KeyError(name)

    with pytest.raises(KeyError, match="web-1"):
        Looks().at({"web-1": "web-1"}, look)


def test_a_look_stands_in_the_context_of_who_asks() -> None:
    whose: ContextVar[str] = ContextVar("whose")
    whose.set("the activity's")
    assert Looks().at({"web-1": 0}, lambda _: whose.get()) == {"web-1": "the activity's"}


def test_answers_without_an_error_are_seen() -> None:
    assert seen({"web-1": 1, "web-2": None}) == {"web-1": 1, "web-2": None}


AWAY, LEFT_ALONE, REFUSED = TargetUnreachable("away"), DependencyOpen("open"), HostKeyRefused("another key")


@pytest.mark.parametrize(
    ("errors", "raised"),
    [
        ((AWAY, REFUSED), HostKeyRefused),
        ((LEFT_ALONE, AWAY), TargetUnreachable),
        ((LEFT_ALONE, LEFT_ALONE), DependencyOpen),
    ],
)
def test_one_error_tells_of_all_and_is_of_the_kind_that_says_most(
    errors: tuple[RedoubtError, ...], raised: type[RedoubtError]
) -> None:
    answers = {"web-0": 0, **{f"web-{number}": error for number, error in enumerate(errors, 1)}}
    with pytest.raises(raised, match=r"^2 of 3 could not be looked at \(web-1, web-2\); the first: "):
        seen(answers)


def test_a_lone_error_is_raised_as_it_is() -> None:
    with pytest.raises(TargetUnreachable) as raised:
        seen({"web-1": AWAY, "web-2": 2})
    assert raised.value is AWAY


def test_of_many_the_error_names_some_and_counts_the_rest() -> None:
    with pytest.raises(TargetUnreachable, match=r"^25 of 25 .* web-19 and 5 more\)"):
        seen({f"web-{number}": TargetUnreachable("away") for number in range(25)})

"""Properties of `rules.versions`."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.versions import Streak, admits, is_key_id, is_operation, is_version, superfluous

stamps = st.tuples(st.text("0123456789abcdef-", min_size=1, max_size=8), st.integers(1, 2))
names = st.lists(st.text("abcdef", min_size=1, max_size=3), unique=True, max_size=8)


@given(st.lists(stamps, max_size=12))
def test_what_was_admitted_never_goes_back(asked: list[tuple[str, int]]) -> None:
    newest = None
    admitted = []
    for stamp in asked:
        if admits(newest, stamp):
            newest = stamp
            admitted.append(stamp)
    assert admitted == sorted(admitted)
    assert newest == (max(asked) if asked else None)


@given(stamps)
def test_the_same_attempt_may_come_again_and_its_undo_overtakes_it(stamp: tuple[str, int]) -> None:
    operation, _ = stamp
    assert admits(stamp, stamp)
    assert admits((operation, 1), (operation, 2))
    assert not admits((operation, 2), (operation, 1))


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0.01, 1)), max_size=40), st.integers(1, 6), st.floats(0, 2)
)
def test_settled_means_enough_in_a_row_over_enough_time(
    seen: list[tuple[bool, float]], needed: int, settle_s: float
) -> None:
    streak, clock = Streak(needed, settle_s), 0.0
    run: list[float] = []
    for wanted, pause in seen:
        clock += pause
        run = [*run, clock] if wanted else []
        streak = streak.saw(wanted=wanted, at=clock)
        assert streak.settled == (len(run) >= needed and run[-1] - run[0] >= settle_s)


@given(names, st.data(), st.integers(1, 4))
def test_what_may_go_is_old_unused_and_unasked_for(
    versions: list[str], data: st.DataObject, spare: int
) -> None:
    current = data.draw(st.none() | st.sampled_from(versions)) if versions else None
    keep = data.draw(st.lists(st.sampled_from(versions))) if versions else []
    gone = superfluous(versions, current=current, keep=keep, keep_versions=spare)
    stays = [version for version in versions if version not in gone]
    assert current not in gone
    assert not set(keep) & set(gone)
    others = [version for version in versions if version != current and version not in keep]
    assert [version for version in stays if version in others] == others[:spare]


@pytest.mark.parametrize(
    ("names", "good"),
    [
        (is_version, "0a" * 32),
        (is_key_id, "01"),
        (is_operation, "019aa3b0-1d5c-7000-8000-000000000000"),
    ],
)
def test_what_becomes_the_name_of_a_file_leads_nowhere_else(names: Callable[[str], bool], good: str) -> None:
    assert names(good)
    around = ("../{}", "{}/", "{}\n", "{}\0", "{} x", "$({})", "{}é")
    for bad in ("", "..", 200 * "a", *(one.format(good) for one in around)):
        assert not names(bad), bad


@given(st.text(max_size=70))
def test_nothing_that_a_path_or_a_shell_reads_is_taken(name: str) -> None:
    if is_version(name) or is_key_id(name) or is_operation(name):
        assert set(name) <= set(string.ascii_letters + string.digits + "_-")

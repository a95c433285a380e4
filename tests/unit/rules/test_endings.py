"""An operation is closed as what its records show, whatever somebody says of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.endings import not_shown

TARGETS = ("web-1", "web-2")
_STEPS = st.dictionaries(
    st.sampled_from(
        [f"{verb}/{name}" for verb in ("switch", "verify", "undo", "revoke") for name in TARGETS]
    ),
    st.booleans(),
)


@given(_STEPS, st.booleans())
def test_renewed_needs_every_target_verified_and_no_way_back(ended: dict[str, bool], undoing: bool) -> None:
    whole = not undoing and all(ended.get(f"verify/{name}") for name in TARGETS)
    assert (not_shown("renewed", TARGETS, ended, undoing=undoing) == ()) == whole


@given(_STEPS, st.booleans())
def test_undone_needs_every_begun_switch_put_back(ended: dict[str, bool], undoing: bool) -> None:
    whole = undoing and all(ended.get(f"undo/{name}") for name in TARGETS if f"switch/{name}" in ended)
    assert (not_shown("undone", TARGETS, ended, undoing=undoing) == ()) == whole


@given(_STEPS)
def test_revoked_needs_every_certificate_revoked(ended: dict[str, bool]) -> None:
    whole = all(ended.get(f"revoke/{name}") for name in TARGETS)
    assert (not_shown("revoked", TARGETS, ended) == ()) == whole


@given(_STEPS)
def test_failed_leaves_no_certificate_in_the_middle_of_being_revoked(ended: dict[str, bool]) -> None:
    middle = [step for step, done in ended.items() if step.startswith("revoke/") and not done]
    assert not_shown("failed", TARGETS, ended) == tuple(middle)


def test_nothing_else_is_an_outcome() -> None:
    assert not_shown("", TARGETS, {}) == ("an outcome ''",)


@pytest.mark.parametrize("outcome", ["renewed", "undone"])
def test_in_the_middle_of_a_wave_it_is_neither(outcome: str) -> None:
    ended = {"switch/web-1": True, "verify/web-1": True, "switch/web-2": False}
    assert not_shown(outcome, TARGETS, ended)
    assert not_shown(outcome, TARGETS, ended, undoing=True)

"""Properties of `rules.drift`."""

from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from rules.drift import difference, left_in_use

names = st.sampled_from(["web-1", "web-2", "web-3"])
versions = st.text("0123456789abcdef", min_size=64, max_size=64)
results = st.none() | st.fixed_dictionaries({"fingerprint": st.none() | versions})
steps = st.dictionaries(
    st.builds("{}/{}".format, st.sampled_from(["switch", "undo", "verify"]), names), results
)


@given(st.sampled_from(["renewed", "undone", "other"]), st.dictionaries(names, versions), steps)
def test_what_is_expected_was_switched_to_put_back_or_there_before(
    outcome: str, previous: dict[str, str], done: dict[str, dict[str, JsonValue] | None]
) -> None:
    left = left_in_use(outcome, ("web-1", "web-2"), previous, done)
    assert set(left) <= {"web-1", "web-2"}
    for target, version in left.items():
        verb = "switch" if outcome == "renewed" else "undo"
        result = done.get(f"{verb}/{target}")
        assert version == (result["fingerprint"] if result else previous.get(target))


def test_a_target_that_was_never_switched_keeps_what_it_had() -> None:
    assert left_in_use("undone", ("web-1", "web-2"), {"web-1": "a" * 64}, {}) == {
        "web-1": "a" * 64,
        "web-2": None,
    }


def test_nothing_is_said_of_a_target_whose_outcome_is_not_known() -> None:
    assert (
        left_in_use("undone", ("web-1",), {"web-1": "a" * 64}, {"switch/web-1": None, "undo/web-1": None})
        == {}
    )
    assert left_in_use("renewed", ("web-1",), {"web-1": "a" * 64}, {"switch/web-1": None}) == {}


@given(st.none() | versions, st.none() | versions)
def test_a_difference_is_told_if_and_only_if_there_is_one(held: str | None, expected: str | None) -> None:
    words = difference(held, expected)
    assert (words is None) == (held == expected)
    if words is not None:
        assert ("no certificate is in use" in words) == (held is None)
        assert ("not no certificate" in words) == (expected is None)

"""For what an operation is put back by itself, and what must come before a step."""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.undoing import Standing, distrusted, failed, failure_of, silent, too_early
from schemas.certificates import StepInput

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
WAVES = (("web-1",), ("web-2", "web-3"))
TARGETS = tuple(name for wave in WAVES for name in wave)
ORDER = "shared/acme/1"
ISSUED = f"issued/{ORDER}"
WHOLE = (
    "authorization",
    "key/shared",
    *(f"{verb}/{ORDER}" for verb in ("order", "authorize", "finalize", "issued")),
    *(f"{verb}/{name}" for verb in ("stage", "switch", "verify") for name in TARGETS),
)

Names = st.lists(st.sampled_from(WHOLE), unique=True)


def standing(names: Collection[str], ended: Collection[str], ago: timedelta = timedelta()) -> list[Standing]:
    return [Standing(name, NOW - ago, name in ended) for name in names]


@given(Names, st.integers(0, 1000))
def test_what_has_ended_well_so_far_has_not_failed_however_long_ago(done: list[str], days: int) -> None:
    steps = standing(done, done, timedelta(days=days))
    assert failed(steps, done) == ""
    assert silent(steps, NOW, MINUTE, MINUTE) == ""


@given(Names, st.sampled_from(WHOLE[1:]))
def test_a_step_that_has_failed_and_not_ended_since_is_named(done: list[str], step: str) -> None:
    ended = [one for one in done if one != step and not one.startswith("issued/")]
    assert failed(standing(ended, ended), [step]) == f"{step} has failed"


@given(Names, st.sampled_from(WHOLE[1:]))
def test_a_step_under_way_has_not_failed_until_it_was_silent_for_too_long(done: list[str], step: str) -> None:
    ended = [one for one in done if one != step and not one.startswith("issued/")]
    before = standing(ended, ended, 60 * MINUTE)
    assert silent([*before, *standing([step], [], MINUTE)], NOW, MINUTE, MINUTE) == ""
    assert step in silent([*before, *standing([step], [], 2 * MINUTE)], NOW, MINUTE, MINUTE)


def test_an_order_is_waited_for_as_long_as_its_issuer_is() -> None:
    steps = standing([f"authorize/{ORDER}"], [], 2 * MINUTE)
    assert silent(steps, NOW, MINUTE, 60 * MINUTE) == ""
    assert silent(standing(["switch/web-1"], [], 2 * MINUTE), NOW, MINUTE, 60 * MINUTE)


def test_what_another_issuer_has_made_up_for_is_no_failure() -> None:
    done = ["issued/shared/second/1"]
    assert failed(standing(done, done), [f"issued/{ORDER}"]) == ""
    stuck = standing([f"order/{ORDER}"], [], 60 * MINUTE)
    assert silent([*stuck, *standing(done, done)], NOW, MINUTE, MINUTE) == ""
    assert failed(standing(done, done), ["issued/other/acme/1"])


def test_what_undoes_or_retires_is_no_step_that_goes_forward() -> None:
    steps = standing(["undo/web-1", "revoke/aa", "destroy/hsm/bb"], [], timedelta(days=9))
    assert silent(steps, NOW, MINUTE, MINUTE) == ""


def of(target: str = "", attempt: int = 1) -> StepInput:
    return StepInput(
        operation="op-1", certificate="www", group="shared", target=target, issuer="acme", attempt=attempt
    )


def early(name: str, shown: Collection[str] = (), attempt: int = 1) -> tuple[str, ...]:
    return too_early(name, of(name.partition("/")[2], attempt), WAVES, shown)


def test_the_order_in_which_a_renewal_goes_is_never_too_early() -> None:
    steps = [
        "key/shared",
        ISSUED,
        *(f"stage/{name}" for name in TARGETS),
        *(f"{verb}/{name}" for wave in WAVES for verb in ("switch", "verify") for name in wave),
    ]
    for number, step in enumerate(steps):
        assert early(step, steps[:number]) == ()


def test_each_step_at_a_target_waits_for_what_comes_before_it() -> None:
    assert early("verify/web-1", [ISSUED]) == ("switch/web-1",)
    staged = [ISSUED, *(f"stage/{name}" for name in TARGETS)]
    for missing, _ in pairwise([*staged, ""]):
        assert early("switch/web-1", [one for one in staged if one != missing]) == (missing,)
    assert early("switch/web-3", [*staged, "switch/web-1"]) == ("verify/web-1",)
    assert early("stage/web-3", [ISSUED]) == ()


@pytest.mark.parametrize("verb", ["stage", "switch", "verify"])
def test_nothing_is_put_anywhere_that_this_order_has_not_brought(verb: str) -> None:
    assert ISSUED in early(f"{verb}/web-1", ["key/shared"])
    assert "issued/shared/acme/2" in early(f"{verb}/web-1", [ISSUED], attempt=2)


def test_an_order_waits_for_its_key_and_for_the_failure_of_the_one_before() -> None:
    assert early(ISSUED) == ("key/shared",)
    lost = failure_of(ISSUED)
    assert early("issued/shared/acme/2", ["key/shared"], attempt=2) == (lost,)
    assert early("issued/shared/acme/2", ["key/shared", lost], attempt=2) == ()
    assert early("issued/shared/acme/3", ["key/shared", lost], attempt=3) == (
        failure_of("issued/shared/acme/2"),
    )


def test_a_certificate_of_a_distrusted_issuer_is_a_failure() -> None:
    assert distrusted(standing([ISSUED], [ISSUED]), {"acme"}) == (
        "its certificate is of acme, which is not trusted any more"
    )
    assert distrusted(standing([ISSUED], [ISSUED]), {"other"}) == ""
    assert distrusted(standing([ISSUED, f"order/{ORDER}"], [f"order/{ORDER}"]), {"acme"}) == ""

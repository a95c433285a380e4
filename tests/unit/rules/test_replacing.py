"""The most exposed certificates of a distrusted issuer go first, in waves that failures stop."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rules.replacing import in_waves, may_begin
from schemas.certificates import SweepDecision
from schemas.settings.certificates import ReplacementPolicy

END = datetime(2026, 12, 1, tzinfo=UTC)


def decision(name: str, *, distrusted: bool = True, days: int = 0) -> SweepDecision:
    not_after = END + timedelta(days=days)
    return SweepDecision(certificate=name, due=True, why="", distrusted=distrusted, not_after=not_after)


def inventory(**certificates: tuple[tuple[str, ...], int]) -> Any:
    """Names of each, and how many targets it has."""
    return {
        name: SimpleNamespace(names=names, targets=(None,) * targets)
        for name, (names, targets) in certificates.items()
    }


def test_wildcards_first_then_names_then_targets_then_what_is_valid_for_longer() -> None:
    given_inventory = inventory(
        plain=(("a",), 1), later=(("a",), 1), fleet=(("a",), 9), many=(("a", "b"), 1), wild=(("*.a",), 1)
    )
    due = [decision("plain"), decision("later", days=9), *map(decision, ("fleet", "many", "wild"))]
    planned = in_waves(due, given_inventory, ReplacementPolicy(waves=(1, 2)), 0)
    waves = [(one.certificate, one.wave) for one in planned.due]
    assert waves == [("wild", 1), ("many", 2), ("fleet", 2), ("later", 3), ("plain", 3)]
    assert planned.halted == ()


decided = st.lists(
    st.builds(decision, st.text("abcdef", min_size=1, max_size=3), distrusted=st.booleans()),
    max_size=30,
    unique_by=lambda one: one.certificate,
)


@given(decided, st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 4), st.integers(1, 4))
def test_what_is_due_for_itself_waits_for_no_wave_and_none_begins_after_too_many_failures(
    due: list[SweepDecision], sizes: list[int], failed: int, stop_after: int
) -> None:
    every = inventory(**{one.certificate: (("a",), 1) for one in due})
    policy = ReplacementPolicy(waves=tuple(sizes), stop_after=stop_after)
    planned = in_waves(due, every, policy, failed)
    assert [one for one in planned.due if not one.wave] == [one for one in due if not one.distrusted]
    waved = {one.certificate for one in planned.due if one.wave}
    halted = {one.certificate for one in planned.halted}
    doomed = {one.certificate for one in due if one.distrusted}
    assert (waved, halted) == ((doomed, set()) if may_begin(failed, stop_after) else (set(), doomed))

"""What a target was left with, and whether it still is: how a change behind our back is told.

Rules and invariants:
- What counts is what the newest closed operation left: where it ended well, what it switched to; where it was
  undone, what it put back, and for a target that it never switched, what that held when the operation began.
- A target that the operation did not know has no expectation: nothing can be said of it.
- No certificate at all is an expectation too, once an operation has left a target with none.
"""

from collections.abc import Mapping

from pydantic import JsonValue

Results = Mapping[str, Mapping[str, JsonValue] | None]
"""The operation's steps (`switch/TARGET`, `undo/TARGET`) to what they brought; None: not known."""

_SHOWN = 12


def left_in_use(
    outcome: str, targets: tuple[str, ...], previous: Mapping[str, str], steps: Results
) -> dict[str, str | None]:
    """Target to the version that the operation left in use there (None: none)."""
    left: dict[str, str | None] = {}
    for target in targets:
        done = steps.get(f"{'switch' if outcome == 'renewed' else 'undo'}/{target}")
        if done is not None and "fingerprint" in done:
            brought = done["fingerprint"]
            left[target] = str(brought) if brought else None
        elif outcome == "undone" and f"switch/{target}" not in steps:
            left[target] = previous.get(target)
    return left


def difference(held: str | None, expected: str | None) -> str | None:
    """In words, what is in use in place of what was left there; None if it is the same."""
    if held == expected:
        return None
    return f"{_named(held)} is in use and not {_named(expected)}, as the last operation left it"


def _named(version: str | None) -> str:
    return "no certificate" if version is None else f"{version[:_SHOWN]}…"

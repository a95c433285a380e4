"""The walk over the log: an honest one has no finding, and any single change has one that says where."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.audit import MAX_FINDINGS, Findings, Row, Signed, Walk, contradictions
from rules.checkpoints import Checkpoint, open_checkpoint, sign
from rules.merkle import CompactRange, leaf_hash
from store.signing import LogKey, PublicKey

ORIGIN = "redoubt.invalid/log"
KEY = LogKey(b"\x01" * 32)
VERIFIES = PublicKey(KEY.public).verifies


def row(index: int) -> Row:
    result = json.dumps({"n": index})
    facts = {"result_sha256": hashlib.sha256(result.encode()).hexdigest()}
    columns = {"operation": f"op-{index}", "step": "s", "kind": "outcome", "subject": "www"}
    entry = json.dumps({**columns, "facts": facts}).encode()
    return Row(index, index + 1, leaf_hash(entry), entry, **columns, result=result)


def log_of(sizes: list[int]) -> tuple[list[Row], list[Signed]]:
    """A log with a checkpoint at each of the sizes; the last is its own size."""
    rows = [row(index) for index in range(sizes[-1])]
    tree, signed = CompactRange(), []
    for size in range(sizes[-1] + 1):
        if size in sizes:
            body = Checkpoint(ORIGIN, size, tree.root()).body()
            signed.append(Signed(size, sign(body, ORIGIN, KEY.public, KEY.sign), tree.encode()))
        if size < len(rows):
            tree = tree.append(rows[size].leaf)
    return rows, signed


def findings(rows: list[Row], signed: list[Signed]) -> list[str]:
    found = Findings()
    walk = Walk(lambda note: open_checkpoint(note, ORIGIN, KEY.public, VERIFIES), found)
    assert walk.over(rows, signed, lambda _: None) == len(rows)
    return [str(one) for one in found.first]


sizes = st.lists(st.integers(0, 20), min_size=1, max_size=5, unique=True).map(sorted)
logs = sizes.map(log_of)
filled = sizes.filter(lambda given: given[-1] > 0).map(log_of)


@given(logs)
def test_an_honest_log_has_no_finding(log: tuple[list[Row], list[Signed]]) -> None:
    assert findings(*log) == []


CHANGES: dict[str, Callable[[Row], Row]] = {
    "entry": lambda one: replace(one, entry=b"{}"),
    "leaf": lambda one: replace(one, leaf=bytes(32)),
    "entry and leaf": lambda one: replace(one, entry=b"{}", leaf=leaf_hash(b"{}")),
    "evidence": lambda one: replace(one, entry=None, operation=""),
    "result": lambda one: replace(one, result="{}"),
    "operation": lambda one: replace(one, operation="another"),
    "place": lambda one: replace(one, evidence_id=0),
    "index": lambda one: replace(one, index=one.index + 1),
}


@pytest.mark.parametrize("change", CHANGES)
@given(log=filled, data=st.data())
def test_any_change_of_a_row_is_found(
    change: str, log: tuple[list[Row], list[Signed]], data: st.DataObject
) -> None:
    rows, signed = log
    at = data.draw(st.integers(0, len(rows) - 1))
    changed = [*rows[:at], CHANGES[change](rows[at]), *rows[at + 1 :]]
    assert findings(changed, signed) != []


@given(log=filled, data=st.data())
def test_any_row_that_is_taken_out_is_missed(
    log: tuple[list[Row], list[Signed]], data: st.DataObject
) -> None:
    rows, signed = log
    at = data.draw(st.integers(0, len(rows) - 1))
    assert findings(rows[:at] + rows[at + 1 :], signed) != []


@given(log=filled)
def test_the_newest_checkpoint_covers_all(log: tuple[list[Row], list[Signed]]) -> None:
    rows, signed = log
    assert findings([*rows, row(len(rows))], signed) == [
        f"log index {len(rows)}: no checkpoint covers the rows from here on"
    ]


def test_an_empty_log_is_verified_only_once_it_is_signed() -> None:
    assert findings([], []) == ["the log: it is empty: the pool `audit` has not run yet, or all was removed"]
    _, signed = log_of([0])
    assert findings([], signed) == []


def test_without_a_sound_stored_tree_the_walk_still_ends() -> None:
    rows, signed = log_of([2, 4])
    rows[0] = replace(rows[0], leaf=bytes(32))
    broken = [replace(one, tree=b"short") for one in signed]
    assert len(findings(rows, broken)) == 3


def test_only_the_first_findings_are_kept() -> None:
    found = Findings()
    for number in range(MAX_FINDINGS + 5):
        found.add("here", str(number))
    assert (found.count, len(found.first)) == (MAX_FINDINGS + 5, MAX_FINDINGS)


@pytest.mark.parametrize("entry", [b"", b"nonsense", b"[]", b"{}", b'{"facts":[]}', b"\xff"])
def test_what_is_no_entry(entry: bytes) -> None:
    assert contradictions(replace(row(0), entry=entry)) == ["the entry is no entry of evidence"]

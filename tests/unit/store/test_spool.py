"""The spool: what it keeps through crashes, and what it refuses."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import EvidenceBroken, EvidenceUnavailable, InvalidReference
from schemas.evidence import Entry, Event, Kind
from store import spool as module
from store.spool import Spool, Spooled, spooled_lines

KEY = b"k" * 32


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", KEY)


def line(number: int) -> Spooled:
    entry = Entry(
        operation="op",
        step=f"undo/{number}",
        kind=Kind.INTENT,
        what=Event.CERTIFICATE_RESTORED,
        subject="www",
        who="a",
        at=datetime(2026, 11, 21, tzinfo=UTC),
    )
    return Spooled(entry=entry, result={"n": number})


def drained(spool: Spool) -> list[Spooled]:
    got: list[Spooled] = []
    spool.drain(got.append)
    return got


def test_what_is_appended_is_drained_once_and_in_order(spool: Spool, tmp_path: Path) -> None:
    assert drained(spool) == []
    for number in range(3):
        spool.append(line(number))
    assert spooled_lines(tmp_path / "spool") == 3
    assert list(spool.pending()) == [line(0), line(1), line(2)]
    assert drained(spool) == [line(0), line(1), line(2)]
    assert drained(spool) == []
    assert spooled_lines(tmp_path / "spool") == 0
    spool.append(line(3))
    assert drained(spool) == [line(3)]


def test_another_process_goes_on_with_it(spool: Spool, tmp_path: Path) -> None:
    spool.append(line(0))
    other = Spool(tmp_path / "spool", KEY)
    other.append(line(1))
    assert drained(spool) == [line(0), line(1)]
    assert not other.waiting()


def test_nobody_else_may_read_it(spool: Spool, tmp_path: Path) -> None:
    spool.append(line(0))
    spool.keep("a", {})
    modes = {file.name: file.stat().st_mode & 0o777 for file in (tmp_path / "spool").rglob("*")}
    assert modes.pop("kept") == 0o700
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


def test_what_the_store_does_not_take_stays(spool: Spool) -> None:
    spool.append(line(0))
    spool.append(line(1))

    def away(one: Spooled) -> None:
        if one == line(1):
            raise EvidenceUnavailable("The store is away.")

    with pytest.raises(EvidenceUnavailable):
        spool.drain(away)
    assert drained(spool) == [line(0), line(1)]


@given(st.data())
def test_a_torn_last_line_is_cut_off(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = Spool(folder, KEY)
    spool.append(line(0))
    acknowledged = (folder / "lines").read_bytes(), (folder / "head").read_bytes()
    spool.append(line(1))
    whole = (folder / "lines").read_bytes()
    cut = data.draw(st.integers(len(acknowledged[0]), len(whole) - 1))
    # The crash came while the second line was being written: its head was not.
    (folder / "lines").write_bytes(whole[:cut])
    (folder / "head").write_bytes(acknowledged[1])
    spool.append(line(2))
    assert drained(spool) == [line(0), line(2)]


def test_a_whole_line_without_its_head_counts(spool: Spool, tmp_path: Path) -> None:
    spool.append(line(0))
    head = (tmp_path / "spool" / "head").read_bytes()
    spool.append(line(1))
    (tmp_path / "spool" / "head").write_bytes(head)
    spool.append(line(2))
    assert drained(spool) == [line(0), line(1), line(2)]


def test_a_crash_between_base_and_emptying_replays_nothing_twice(spool: Spool, tmp_path: Path) -> None:
    spool.append(line(0))
    kept = (tmp_path / "spool" / "lines").read_bytes()
    assert drained(spool) == [line(0)]
    (tmp_path / "spool" / "lines").write_bytes(kept)
    assert spool.waiting()
    assert drained(spool) == []
    assert not spool.waiting()


Tamper = Callable[[Path], None]


def _lines(folder: Path) -> list[bytes]:
    return (folder / "lines").read_bytes().splitlines(keepends=True)


def _changed(folder: Path) -> None:
    text = (folder / "lines").read_bytes()
    (folder / "lines").write_bytes(text.replace(b'"undo/1"', b'"undo/9"'))


def _removed(number: int) -> Tamper:
    def remove(folder: Path) -> None:
        lines = _lines(folder)
        del lines[number]
        (folder / "lines").write_bytes(b"".join(lines))

    return remove


def _exchanged(folder: Path) -> None:
    first, second, third = _lines(folder)
    (folder / "lines").write_bytes(second + first + third)


def _nonsense(folder: Path) -> None:
    (folder / "lines").write_bytes(b"nonsense\n")


def _head_changed(folder: Path) -> None:
    head = json.loads((folder / "head").read_text())
    (folder / "head").write_text(json.dumps({**head, "number": 1}))


def _head_nonsense(folder: Path) -> None:
    (folder / "head").write_text("{")


def _gone(folder: Path) -> None:
    (folder / "lines").unlink()


@pytest.mark.parametrize(
    ("tamper", "why"),
    [
        (_changed, "line 2 was changed"),
        (_removed(0), "missing at the beginning"),
        (_removed(1), "line 2 does not follow"),
        (_removed(2), "missing at the end"),
        (_exchanged, "line 2 does not follow"),
        (_nonsense, "line 1 can't be read"),
        (_head_changed, "head was changed"),
        (_head_nonsense, "head can't be read"),
        (_gone, "missing at the end"),
    ],
    ids=lambda one: getattr(one, "__name__", None),
)
def test_a_tampered_spool_is_refused_and_left(spool: Spool, tmp_path: Path, tamper: Tamper, why: str) -> None:
    for number in range(3):
        spool.append(line(number))
    tamper(tmp_path / "spool")
    with pytest.raises(EvidenceBroken, match=why):
        drained(spool)
    with pytest.raises(EvidenceBroken, match=why):
        drained(spool)


def test_another_key_reads_nothing(spool: Spool, tmp_path: Path) -> None:
    spool.append(line(0))
    with pytest.raises(EvidenceBroken, match="another key"):
        drained(Spool(tmp_path / "spool", b"x" * 32))


def test_undoing_goes_on_behind_a_changed_line(spool: Spool, tmp_path: Path) -> None:
    for number in range(3):
        spool.append(line(number))
    _changed(tmp_path / "spool")
    spool.append(line(3))
    assert list(spool.pending()) == [line(0), line(2), line(3)]


def test_documents_are_kept_authentic(spool: Spool, tmp_path: Path) -> None:
    assert spool.kept("a") is None
    spool.keep("a", {"n": 1})
    spool.keep("b", {"n": 2})
    assert spool.kept("a") == {"n": 1}
    folder = tmp_path / "spool" / "kept"
    (folder / "a").write_bytes((folder / "b").read_bytes())
    with pytest.raises(EvidenceBroken, match="was changed"):
        spool.kept("a")
    (folder / "a").write_bytes(b"{")
    with pytest.raises(EvidenceBroken, match="can't be read"):
        spool.kept("a")
    spool.discard("a")
    spool.discard("a")
    assert spool.kept("a") is None


def test_a_full_spool_says_so(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append(line(0))
    monkeypatch.setattr(module, "MAX_SPOOL_BYTES", 600)
    with pytest.raises(EvidenceUnavailable, match="full"):
        spool.append(line(1))
    assert drained(spool) == [line(0)]


def test_a_folder_that_is_a_file_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EvidenceUnavailable, match="can't be used"):
        Spool(tmp_path / "file", KEY)


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidReference):
        Spool(tmp_path / "spool", b"short")


def test_a_process_that_was_stopped_with_the_lock_does_not_stop_the_others_for_good(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", KEY, lock_s=0.05)
    with spool._locked(), pytest.raises(EvidenceUnavailable, match="locked by another process"):
        spool.append(line(1))
    spool.append(line(1))
    assert drained(spool) == [line(1)]

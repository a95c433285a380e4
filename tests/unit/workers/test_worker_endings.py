"""What is begun is ended before a process leaves, and what hangs or fails keeps neither the rest nor the process."""

import threading

import pytest

from workers import endings
from workers.endings import Endings


def test_what_hangs_or_fails_keeps_neither_the_others_nor_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "EACH_S", 0.5)
    monkeypatch.setattr(endings, "_begun", [])
    never, ended = threading.Event(), threading.Event()

    def fails() -> None:
        raise OSError

    mine = Endings()
    mine.add("hangs", never.wait)
    mine.add("fails", fails)
    mine.add("ends", ended.set)
    try:
        mine.run()
        assert ended.wait(60)
        assert not never.is_set()
    finally:
        never.set()


def test_all_of_a_process_are_ended_and_again_what_was_begun_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endings, "_begun", [])
    told: list[str] = []
    one, other = Endings(), Endings()
    one.add("one", lambda: told.append("one"))
    other.add("other", lambda: told.append("other"))
    one.run()
    assert told == ["one"]
    endings.end_all()
    assert sorted(told) == ["one", "one", "other"]

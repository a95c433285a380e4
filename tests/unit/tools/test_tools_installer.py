"""Getting tools: ways in order, whole or not at all, packages while builds run, one build at a time."""

import concurrent.futures
import pathlib

import pytest

from clients.tools.installer import Outcome, Ways, get, install
from clients.tools.table import Tool
from schemas.errors import DependencyUnavailable
from tests.unit.tools.made_up import APT, GO, Fails, Gives, Heard, Pretend, Waits, eventually, tool

_WAITING = "waiting for another process that does the same"

pytestmark = pytest.mark.usefixtures("programs", "cache")


def test_the_first_way_that_works_gives_it(cache: pathlib.Path) -> None:
    heard = Heard()
    outcome = _get(tool(APT, GO), {"apt": Fails(), "go": Gives(heavy=True)}, heard)
    assert outcome.status == "installed"
    assert outcome.version == "2.0"
    assert outcome.how == "go"
    assert outcome.tried == ("apt: the moon is full",)
    assert outcome.where == cache / "tools" / "made-up" / "2.0" / "bin" / "made-up"
    assert heard.outcomes == [outcome]
    assert _kept(cache) == ["2.0"]


def test_what_can_not_be_had_is_named_with_what_will_not_work(cache: pathlib.Path) -> None:
    outcome = _get(tool(APT), {"apt": Fails()})
    assert outcome.status == "missing"
    assert outcome.without == "nothing is made up"
    assert outcome.tried == ("apt: the moon is full",)
    assert _kept(cache) == []


def test_what_is_there_is_not_got_again(pretend: Pretend) -> None:
    program = pretend("made-up", "echo made-up 3.0")
    way = Gives()
    outcome = _get(tool(APT), {"apt": way})
    assert (outcome.status, outcome.how, outcome.version, outcome.where) == (
        "present",
        "path",
        "3.0",
        program,
    )
    assert way.calls == 0


def test_a_way_that_gives_too_old_a_version_has_not_worked(pretend: Pretend) -> None:
    class Old(Gives):
        def get(self, *_: object) -> None:
            pretend("made-up", "echo made-up 1.0")

    outcome = _get(tool(APT), {"apt": Old()})
    assert outcome.status == "missing"
    assert outcome.tried == ("apt: what it gave is not all there, or older than 1.5",)


def test_a_program_that_is_not_in_what_was_got_is_refused(cache: pathlib.Path) -> None:
    both = tool(APT, files=[{"name": "made-up"}, {"name": "made-up-too"}])
    outcome = _get(both, {"apt": Gives()})
    assert outcome.tried == ("apt: made-up-too was not in it",)
    assert _kept(cache) == []


def test_what_a_kill_left_is_cleared_and_made_whole(cache: pathlib.Path) -> None:
    (cache / "tools" / "made-up" / ".unfinished-abc" / "bin").mkdir(parents=True)
    (cache / "tools" / "made-up" / "2.0" / "lib").mkdir(parents=True)
    outcome = _get(tool(APT), {"apt": Gives()})
    assert outcome.status == "installed"
    assert _kept(cache) == ["2.0"]
    assert [path.name for path in (cache / "tools" / "made-up" / "2.0").iterdir()] == ["bin"]


def test_packages_install_while_a_build_runs(cache: pathlib.Path) -> None:
    build = Waits(heavy=True)
    package = Gives()
    wanted = [tool(GO, name="built"), tool(APT, name="packed")]
    heard = Heard()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        both = pool.submit(get, wanted, heard, {"go": build, "apt": package})
        assert build.begun.wait(20)
        eventually(lambda: [outcome.tool for outcome in heard.outcomes] == ["packed"])
        assert not both.done()
        build.let_go.set()
        assert [outcome.tool for outcome in both.result(20)] == ["built", "packed"]
    assert cache.is_dir()


def test_two_who_want_the_same_get_it_once() -> None:
    way = Waits()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        one = pool.submit(_get, tool(APT), {"apt": way})
        assert way.begun.wait(20)
        heard = Heard()
        other = pool.submit(_get, tool(APT), {"apt": way}, heard)
        eventually(lambda: _WAITING in [what for _, what in heard.said])
        way.let_go.set()
        assert {one.result(20).status, other.result(20).status} == {"installed", "present"}
    assert way.calls == 1


def test_builds_run_one_at_a_time_even_between_callers() -> None:
    first, second = Waits(heavy=True), Gives(heavy=True)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        one = pool.submit(_get, tool(GO, name="one"), {"go": first})
        assert first.begun.wait(20)
        heard = Heard()
        other = pool.submit(_get, tool(GO, name="other"), {"go": second}, heard)
        eventually(lambda: _WAITING in [what for _, what in heard.said])
        assert second.calls == 0
        first.let_go.set()
        assert one.result(20).status == other.result(20).status == "installed"


def test_an_unknown_name_is_refused_before_anything_is_done() -> None:
    heard = Heard()
    with pytest.raises(DependencyUnavailable, match="no 'nonesuch'"):
        install(["temporal", "nonesuch"], heard)
    assert heard.outcomes == []


def test_a_cache_that_can_not_be_written_to(cache: pathlib.Path) -> None:
    cache.write_text("a file where a folder should be")
    with pytest.raises(DependencyUnavailable, match="REDOUBT_CACHE names another folder"):
        _get(tool(APT), {"apt": Gives()})


def _get(wanted: Tool, ways: Ways, heard: Heard | None = None) -> Outcome:
    (outcome,) = get([wanted], heard or Heard(), ways)
    return outcome


def _kept(cache: pathlib.Path) -> list[str]:
    return [path.name for path in (cache / "tools" / "made-up").iterdir()]

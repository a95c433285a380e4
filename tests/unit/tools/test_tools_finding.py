"""Finding a tool: this machine first, if new enough; then the cache; else an error that says what to do."""

import pathlib

import pytest

from clients.tools import find, locate, named
from schemas.errors import DependencyUnavailable
from tests.unit.tools.made_up import Pretend, tool


def test_a_program_on_path_that_is_new_enough(cache: pathlib.Path, pretend: Pretend) -> None:
    program = pretend("made-up", "echo this is made-up 1.10.2")
    _in_cache(cache)
    assert locate(tool()) == {"made-up": program}


@pytest.mark.parametrize(
    "body",
    ["echo made-up 1.4.9", "echo made-up who knows", "exit 1", "kill -9 $$"],
    ids=["too old", "unreadable", "fails", "dies"],
)
def test_a_program_that_is_too_old_or_silent_gives_way_to_the_cache(
    cache: pathlib.Path, pretend: Pretend, body: str
) -> None:
    pretend("made-up", body)
    assert locate(tool()) is None
    ours = _in_cache(cache)
    assert locate(tool()) == {"made-up": ours}


def test_a_new_program_under_an_old_name_is_asked_again(cache: pathlib.Path, pretend: Pretend) -> None:
    pretend("made-up", "echo made-up 1.0")
    assert locate(tool()) is None
    newer = pretend("made-up", "echo made-up 11.0")
    assert locate(tool()) == {"made-up": newer}
    assert not cache.exists()


def test_half_a_tool_is_none(cache: pathlib.Path, pretend: Pretend) -> None:
    pretend("made-up", "echo made-up 2.0")
    both = tool(files=[{"name": "made-up"}, {"name": "made-up-too"}])
    assert locate(both) is None
    pretend("made-up-too", "")
    assert locate(both) is not None
    assert not cache.exists()


@pytest.mark.usefixtures("cache", "programs")
def test_the_highest_version_of_a_folder_pattern(tmp_path: pathlib.Path) -> None:
    for version in ("9", "15", "11"):
        (tmp_path / "lib" / version).mkdir(parents=True)
        (tmp_path / "lib" / version / "made-up.so").touch()
    library = tool(
        files=[{"name": "made-up.so", "places": [f"{tmp_path}/lib/*"]}], ask=None, minimum="", version=""
    )
    assert locate(library) == {"made-up.so": tmp_path / "lib" / "15" / "made-up.so"}


@pytest.mark.usefixtures("cache")
def test_a_library_is_not_looked_for_on_path(programs: pathlib.Path) -> None:
    (programs / "made-up.so").touch()
    assert locate(tool(files=[{"name": "made-up.so"}], ask=None, minimum="")) is None


@pytest.mark.usefixtures("cache")
def test_the_names_that_other_systems_give(pretend: Pretend) -> None:
    program = pretend("made-up-browser", "echo made-up 2.0")
    assert locate(tool(files=[{"name": "made-up", "names": ["made-up-browser"]}])) == {"made-up": program}


def test_a_file_stands_for_its_tool() -> None:
    assert named("pebble-challtestsrv").name == "pebble"
    assert named("libsofthsm2.so").name == "softhsm2"


@pytest.mark.usefixtures("programs")
def test_what_is_missing_is_named_with_the_command_that_gets_it(cache: pathlib.Path) -> None:
    with pytest.raises(DependencyUnavailable, match=r"redoubt tools install temporal-test-server"):
        find("temporal-test-server")
    made = cache / "tools" / "temporal-test-server" / "1.38.0" / "bin" / "temporal-test-server"
    made.parent.mkdir(parents=True)
    made.touch(mode=0o755)
    assert find("temporal-test-server") == made


def test_a_stranger_is_told_the_nearest_name() -> None:
    with pytest.raises(DependencyUnavailable, match="did you mean temporal"):
        find("temprol")


def _in_cache(cache: pathlib.Path) -> pathlib.Path:
    program = cache / "tools" / "made-up" / "2.0" / "bin" / "made-up"
    program.parent.mkdir(parents=True)
    program.touch(mode=0o755)
    return program

"""The table is whole: what it names exists, and its versions are those of the modules that are built."""

import re

import pytest

from clients.tools.installer import _ways, needed_for
from clients.tools.table import RECIPES, DownloadWay, GoWay, MavenWay, NpmWay, Purpose, Tool, tools

_ALL = pytest.mark.parametrize("tool", tools(), ids=lambda tool: tool.name)


@_ALL
def test_every_way_of_a_tool_has_an_implementation(tool: Tool) -> None:
    assert tool.ways
    assert {recipe.way for recipe in tool.ways} <= _ways().keys()


@_ALL
def test_what_is_built_is_of_the_version_that_the_table_says(tool: Tool) -> None:
    for recipe in tool.ways:
        if isinstance(recipe, GoWay):
            module = RECIPES / recipe.module
            assert f" v{tool.version}\n" in (module / "go.mod").read_text().split("require (")[0]
            imported = (module / "tools.go").read_text()
            assert all(f'"{package}"' in imported for package in recipe.packages)
        elif isinstance(recipe, MavenWay):
            pom = (RECIPES / recipe.module / "pom.xml").read_text()
            assert f"<version>{tool.version}</version>" in pom
        elif isinstance(recipe, NpmWay):
            assert recipe.package.endswith(f"@{tool.version}")
        elif isinstance(recipe, DownloadWay):
            assert all(f"_{tool.version}_" in archive.url for archive in recipe.archives.values())


@_ALL
def test_what_we_make_ourselves_has_a_version_to_lie_under(tool: Tool) -> None:
    ours = [recipe for recipe in tool.ways if recipe.way != "apt"]
    assert tool.version or not ours


@_ALL
def test_a_minimum_can_be_asked_for(tool: Tool) -> None:
    assert bool(tool.minimum) == bool(tool.ask)
    assert tool.ask is None or re.compile(tool.ask.pattern).groups == 1


def test_names_are_unique() -> None:
    names = [name for tool in tools() for name in {tool.name, *(file.name for file in tool.files)}]
    assert len(names) == len(set(names))


def test_the_first_chapter_comes_first() -> None:
    chapters = [tool.chapter for tool in tools()]
    first = chapters.count("certificates")
    assert set(chapters[:first]) == {"certificates"}
    assert tools()[0].name == "temporal"


def test_what_a_purpose_needs() -> None:
    assert "postgresql" in needed_for(Purpose.TEST)
    assert "postgresql" not in needed_for(Purpose.DEMO)
    assert "anvil" not in needed_for(Purpose.DEMO, Purpose.TEST, Purpose.DEV)

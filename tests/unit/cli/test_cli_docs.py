"""The documents that are generated are those that are committed."""

from pathlib import Path

import pytest

from cli.output import ExitCode
from schemas.errors import CATALOGUE
from tests.unit.cli.conftest import Redoubt

DOCS = Path(__file__).parents[3] / "docs"


@pytest.mark.parametrize("name", ["errors", "settings"])
def test_the_document_is_current(name: str, redoubt: Redoubt) -> None:
    said = redoubt("docs", name)
    assert said.code == ExitCode.OK
    assert (DOCS / f"{name}.md").read_text() == said.out, f"run: redoubt docs {name} > docs/{name}.md"


@pytest.mark.parametrize("code", CATALOGUE)
def test_each_error_is_documented_with_what_to_do(code: str) -> None:
    text = (DOCS / "errors.md").read_text()
    assert f"| `{code}` | {CATALOGUE[code].meaning} | {CATALOGUE[code].what_to_do} |" in text


def test_the_exit_codes_are_documented() -> None:
    text = (DOCS / "cli.md").read_text()
    assert all(f"| {code.value} |" in text for code in ExitCode)

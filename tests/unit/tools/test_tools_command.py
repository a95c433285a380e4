"""`redoubt tools`: data on stdout, what became of each tool on stderr, exit code 3 if one can't be had."""

import json
import pathlib

import pytest

import cli.tools
from cli.main import run
from cli.output import ExitCode
from cli.progress import _Plain, steps
from clients.tools.installer import Outcome, Progress
from clients.tools.table import tools

_GOT = Outcome(tool="nginx", status="installed", version="1.22.1", how="apt", seconds=12.3)
_LOST = Outcome(tool="chromium", status="missing", without="no browser", tried=("apt: it takes root",))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the command asks the installer for; chromium can't be had."""
    calls: list[list[str]] = []

    def install(names: list[str], progress: Progress) -> list[Outcome]:
        calls.append(names)
        outcomes = [_LOST if name == "chromium" else _GOT.model_copy(update={"tool": name}) for name in names]
        for outcome in outcomes:
            progress.done(outcome)
        return outcomes

    monkeypatch.setattr(cli.tools, "install", install)
    return calls


def test_what_was_got(asked: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tools", "install", "nginx", "-o", "jsonl"]) == ExitCode.OK
    printed = capsys.readouterr()
    assert json.loads(printed.out)["status"] == "installed"
    assert printed.err == "nginx 1.22.1: apt, 12 s\n"
    assert asked == [["nginx"]]


def test_what_can_not_be_had(asked: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tools", "install", "nginx", "chromium"]) == ExitCode.SKIPPED
    printed = capsys.readouterr()
    assert printed.err.splitlines()[1:] == [
        "chromium can't be had; without it no browser.",
        "  apt: it takes root",
    ]
    assert [line.split()[:2] for line in printed.out.splitlines()[1:]] == [
        ["nginx", "installed"],
        ["chromium", "missing"],
    ]
    assert asked == [["nginx", "chromium"]]


@pytest.mark.parametrize(
    ("arguments", "has", "lacks"),
    [
        (["--for", "demo"], {"temporal", "nginx"}, {"postgresql", "anvil"}),
        (["--for", "dev", "--for", "payments"], {"temporal", "anvil"}, {"vault"}),
        ([], {"temporal", "vault", "chromium"}, {"anvil"}),
        (["anvil", "--for", "dev"], {"temporal", "anvil"}, {"vault"}),
    ],
)
def test_what_is_wanted(asked: list[list[str]], arguments: list[str], has: set[str], lacks: set[str]) -> None:
    assert run(["tools", "install", *arguments]) in {ExitCode.OK, ExitCode.SKIPPED}
    assert has <= set(asked[0])
    assert not lacks & set(asked[0])


def test_an_unknown_tool_is_a_usage_error(asked: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tools", "install", "nginks"]) == ExitCode.USAGE
    assert "did you mean nginx?" in capsys.readouterr().err
    assert asked == []


@pytest.mark.usefixtures("cache", "programs")
def test_the_list_shows_every_tool_and_where_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["tools", "list", "-o", "json"]) == ExitCode.OK
    rows = json.loads(capsys.readouterr().out)
    assert [row["tool"] for row in rows] == [tool.name for tool in tools()]
    assert {row["tool"]: row["status"] for row in rows}["temporal-test-server"] == "missing"
    assert all(row["without"] and row["ways"] for row in rows)


@pytest.mark.usefixtures("programs")
def test_a_tool_in_the_cache_tells_its_version(
    cache: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = cache / "tools" / "temporal-test-server" / "1.38.0" / "bin" / "temporal-test-server"
    made.parent.mkdir(parents=True)
    made.touch(mode=0o755)
    assert run(["tools", "list", "-o", "jsonl"]) == ExitCode.OK
    rows = {row["tool"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["temporal-test-server"]["version"] == "1.38.0"
    assert rows["temporal-test-server"]["how"] == "cache"


def test_progress_speaks_after_two_seconds_and_then_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = _Plain()
    monkeypatch.setattr("cli.progress.time.monotonic", lambda: 100.0)
    plain.doing("vault", "building")
    for now in (101.0, 102.5, 104.0, 117.0, 118.0):
        plain.tell(now)
    plain.doing("vault", "unpacking")
    plain.tell(140.0)
    plain.ended("vault", "vault is there")
    plain.tell(200.0)
    assert capsys.readouterr().err.splitlines() == [
        "vault: building (2 s)",
        "vault: building (18 s)",
        "vault: unpacking (40 s)",
        "vault is there",
    ]


def test_progress_on_a_terminal_is_live_and_keeps_what_ended(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with steps() as told:
        told.doing("vault", "building")
        told.doing("vault", "[unpacking]")
        told.ended("vault", "vault is there")
        told.ended("nginx")
    assert "vault is there" in capsys.readouterr().err


def test_progress_elsewhere_is_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with steps() as told:
        told.doing("vault", "building")
        told.ended("vault", "vault is there")
    assert capsys.readouterr().err == "vault is there\n"

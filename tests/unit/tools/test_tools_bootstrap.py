"""The bootstrap's first words on a machine that is not ready."""

import ast
import os
import pathlib
import re
import subprocess
import sys

import pytest

from deploy import bootstrap
from deploy.checks.finding import ROOT

_SCRIPT = ROOT / "deploy" / "bootstrap.py"


def test_its_syntax_is_understood_by_pythons_that_are_too_old() -> None:
    ast.parse(_SCRIPT.read_text("utf-8"), feature_version=(3, 7))


@pytest.mark.usefixtures("programs")
def test_an_old_python_without_a_newer_one_is_told_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    with pytest.raises(SystemExit):
        bootstrap._need_new_python()
    assert "needs Python 3.11 or newer" in capsys.readouterr().err


def test_an_old_python_hands_over_to_the_newest(
    programs: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handed: list[tuple[str, list[str]]] = []
    for name in ("python3.11", "python3.12"):
        (programs / name).touch(mode=0o755)
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(sys, "argv", ["deploy/bootstrap.py"])

    def hand_over(program: str, argv: list[str]) -> None:
        handed.append((program, argv))
        raise SystemExit

    monkeypatch.setattr(os, "execv", hand_over)
    with pytest.raises(SystemExit):
        bootstrap._need_new_python()
    newest = str(programs / "python3.12")
    assert handed == [(newest, [newest, "deploy/bootstrap.py"])]


@pytest.mark.usefixtures("programs")
def test_each_missing_program_is_named_with_what_will_not_work(capsys: pytest.CaptureFixture[str]) -> None:
    bootstrap._name_what_is_missing()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(bootstrap.PREREQUISITES)
    assert all(re.fullmatch(r"bootstrap: .+ is missing: without it .+\.", line) for line in lines)


def test_a_python_without_venv_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit):
        bootstrap._need_venv_module()
    assert "apt-get install python3-venv" in capsys.readouterr().err


def test_the_stamp_follows_the_lock(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "requirements.lock"
    monkeypatch.setattr(bootstrap, "LOCK", lock)
    lock.write_text("a==1\n")
    before = bootstrap._fingerprint()
    assert bootstrap._fingerprint() == before
    lock.write_text("a==2\n")
    assert bootstrap._fingerprint() != before


def test_help_lists_every_target_that_the_makefile_has() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[1].split())  # type: ignore[index]  # it is there
    assert {line.split()[1] for line in shown.splitlines()} == targets

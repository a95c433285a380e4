"""What `make check` finds, and that it never says passed of what it has not seen."""

import json
import os
import pathlib
from collections.abc import Mapping

import pytest

from deploy.checks import audit, hosts, secrets, sums, tests
from deploy.checks.hosts import _HOSTS, _NAMED


def _answer(*packages: Mapping[str, object]) -> str:
    return json.dumps({"dependencies": packages})


_SOUND = {"name": "sound", "version": "1", "vulns": []}
_HOLE = {"id": "CVE-1", "fix_versions": ["2"]}


def test_an_audit_that_found_nothing() -> None:
    assert audit.judge(_answer(_SOUND), "").word == "passed"


def test_an_audit_that_found_a_vulnerability() -> None:
    verdict = audit.judge(_answer(_SOUND, {"name": "holed", "version": "1", "vulns": [_HOLE]}), "")
    assert verdict.word == "FAILED"
    assert verdict.findings == ("holed 1: CVE-1, mended in 2",)


@pytest.mark.parametrize(
    ("answer", "errors", "why"),
    [
        ("", "Traceback\nConnectionError: no route", "ConnectionError: no route"),
        ("", "", "pip-audit said nothing"),
        ("[]", "odd", "odd"),
        (_answer(), "", "0 of 0 packages: pip-audit looked at nothing"),
        (_answer(_SOUND, {"name": "other", "skip_reason": "not known"}), "", "1 of 2 packages: not known"),
    ],
)
def test_an_audit_without_a_whole_answer_is_not_passed(answer: str, errors: str, why: str) -> None:
    verdict = audit.judge(answer, errors)
    assert verdict.word == "NOT AUDITED"
    assert verdict.why == why


def test_a_vulnerability_counts_even_if_others_are_unknown() -> None:
    holed = {"name": "holed", "version": "1", "vulns": [_HOLE]}
    assert audit.judge(_answer(holed, {"name": "other", "skip_reason": "not known"}), "").word == "FAILED"


@pytest.mark.parametrize("host", _HOSTS)
def test_a_package_host_is_found(host: str) -> None:
    assert _NAMED.search(f"index-url = https://{host}/simple")
    assert _NAMED.search(f"https://files.{host.upper()}")
    assert not _NAMED.search(f"https://not-{host}")


def test_this_repository_names_none() -> None:
    assert hosts.check().word == "passed"


def test_every_tool_module_has_its_sums() -> None:
    assert sums.check().word == "passed"


def test_a_sum_that_is_missing_is_found(tmp_path: pathlib.Path) -> None:
    (tmp_path / "go.mod").write_text(
        "module redoubt.invalid/x\n\ngo 1.26\n\nrequire example.com/a v1.0.0\n\n"
        "require (\n\texample.com/b/v2 v2.1.0 // indirect\n\texample.com/c v0.0.1\n)\n\n"
        "replace example.com/c => example.com/d v0.0.2\n"
    )
    assert len(sums._missing(tmp_path / "go.mod")) == 3
    (tmp_path / "go.sum").write_text("example.com/a v1.0.0 h1:x=\nexample.com/d v0.0.2/go.mod h1:x=\n")
    assert sums._missing(tmp_path / "go.mod") == [
        f"{tmp_path.name}: go.sum has no sum for example.com/b/v2 v2.1.0"
    ]


def test_a_secret_is_found_and_not_shown(tmp_path: pathlib.Path) -> None:
    name = pathlib.Path("settings.py")
    value = "hunter2" + "-but-longer"
    (tmp_path / name).write_text(f'password = "{value}"\napi_key = "vault:kv/somewhere#field"\n')
    (finding,) = secrets.scan(tmp_path, [name], [])
    assert finding == "settings.py:1 looks like a secret (Secret Keyword)"
    assert secrets.scan(tmp_path, [name], [("*.py", frozenset({"Secret Keyword"}))]) == []


def test_a_private_key_is_found_even_in_tests(tmp_path: pathlib.Path) -> None:
    name = pathlib.Path("tests/unit/test_x.py")
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("-----BEGIN " + "RSA PRIVATE KEY-----\n")
    assert len(secrets.scan(tmp_path, [name], secrets.explanations())) == 1


def test_coverage_counts_lines_and_branches_of_the_files_that_count() -> None:
    def file(statements: int, branches: int, lines: int, reached: int) -> dict[str, float]:
        return {
            "num_statements": statements,
            "num_branches": branches,
            "covered_lines": lines,
            "covered_branches": reached,
        }

    files = {
        "rules/a.py": file(10, 10, 10, 9),
        "schemas/b.py": file(20, 0, 20, 0),
        "cli/c.py": file(40, 0, 0, 0),
    }
    assert tests.share(files, ("rules/", "schemas/")) == pytest.approx(97.5)
    assert tests.share(files, ("",)) == pytest.approx(48.75)
    assert tests.share({}, ("",)) == 0.0


def test_tests_see_none_of_the_users_own_settings(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDOUBT_CONFIG", "/home/user/redoubt.yaml")
    monkeypatch.setenv("REDOUBT_CACHE", "/home/user/cache")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/home/user/.config")
    clean = tests.clean_environment(tmp_path)
    assert "REDOUBT_CONFIG" not in clean
    assert clean["REDOUBT_CACHE"] == "/home/user/cache"
    assert pathlib.Path(clean["XDG_CONFIG_HOME"]).is_relative_to(tmp_path)
    assert clean["PATH"] == os.environ["PATH"]

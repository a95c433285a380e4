"""The demo's table, its exit codes, and what it leaves behind when it is interrupted; the whole of it under `chaos`."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.demo import command
from cli.demo.certificates import Certificates
from cli.demo.proofs import Proofs, expect, show
from cli.dev.stack import Stack
from cli.output import ExitCode, Format
from clients.tools import installer
from clients.tools.installer import Outcome
from tests.acceptance.embedded import redoubt
from tests.acceptance.fleet import wait_until

LINK = "http://127.0.0.1:8233/namespaces/default/workflows/certificate-renewal%2Fwww/01a1fcf0/history"


@pytest.fixture
def proofs() -> Proofs:
    """One claim that holds."""
    made = Proofs()
    with made.claim("The sun rises") as proof:
        proof.seen, proof.link = "it is day", LINK
    return made


def test_every_claim_proved_is_success(proofs: Proofs) -> None:
    assert proofs.exit_code is ExitCode.OK
    assert Proofs().exit_code is ExitCode.FAILED, "nothing proved is no success"


def test_a_claim_that_fails_is_told_and_the_rest_goes_on(proofs: Proofs) -> None:
    with proofs.claim("The sun sets"):
        expect(False, "it is still day")
    proofs.skip("The moon rises", "there is no sky")
    assert [(row.verdict, row.seen) for row in proofs.rows[1:]] == [
        ("FAILED", "it is still day"),
        ("SKIPPED", "there is no sky"),
    ]
    assert proofs.exit_code is ExitCode.FAILED


def test_without_a_browser_its_claim_is_skipped(proofs: Proofs, tmp_path: Path) -> None:
    Certificates(Stack(tmp_path), proofs, lambda: "chromium can't be had").web_ui()
    assert proofs.rows[-1].verdict == "SKIPPED"
    assert proofs.exit_code is ExitCode.SKIPPED


def test_the_table_has_a_line_a_claim_and_fits_100_columns(
    proofs: Proofs, capsys: pytest.CaptureFixture[str]
) -> None:
    proofs.skip("The worker is killed in the middle of an order: it ends with one certificate", "no worker")
    show(proofs.rows, Format.TEXT)
    out = capsys.readouterr().out
    table, _, seen = out.partition("\n\n")
    assert [line.split()[1] for line in table.splitlines()] == ["VERDICT", "PROVED", "SKIPPED"]
    assert max(map(len, table.splitlines())) <= 100
    assert LINK in seen.splitlines()[2]


def test_a_missing_tool_skips_the_chapter_and_says_what_it_was_for(tmp_path: Path) -> None:
    """Nothing can be had here: no program on the path, nothing cached, and no way to the networks."""
    away = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1", "GOPROXY": "off"}
    nowhere = {"PATH": str(tmp_path), "REDOUBT_CACHE": str(tmp_path / "cache"), **away}
    ended = redoubt(nowhere, "demo", "-o", "json")
    assert ended.code == ExitCode.SKIPPED, ended.err
    assert {row["verdict"] for row in ended.json} == {"SKIPPED"}
    assert any("temporal can't be had" in row["seen"] for row in ended.json)


@pytest.mark.parametrize(
    ("missing", "playable", "with_hsm"),
    [
        ((), True, True),
        (("softhsm2",), True, False),
        (("pkcs11-engine",), True, False),
        (("nginx",), False, True),
    ],
)
def test_without_an_hsm_the_chapter_is_played_and_only_the_hsm_is_skipped(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], playable: bool, with_hsm: bool
) -> None:
    def install(names: tuple[str, ...], _told: object) -> list[Outcome]:
        return [Outcome(tool=name, status="missing" if name in missing else "present") for name in names]

    monkeypatch.setattr(installer, "install", install)
    proofs = Proofs()
    assert command.have(proofs) == (playable, with_hsm)
    assert [row.verdict for row in proofs.rows] == ["SKIPPED"] * len(missing)


def test_interrupted_it_leaves_nothing_behind(tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("wb") as out:
        argv = [sys.executable, "-m", "cli.main", "demo"]
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        demo = subprocess.Popen(argv, stdout=out, stderr=out, env=environment, start_new_session=True)
    wait_until(lambda: "pebble is up" in said.read_text() or demo.poll() is not None, 90, "the CA")
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) == ExitCode.INTERRUPTED, said.read_text()
    assert not list(tmp_path.glob("redoubt-demo-*"))
    assert not [command for command in _commands() if str(tmp_path) in command]


def _commands() -> list[str]:
    lines = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                lines.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return lines


@pytest.mark.chaos
def test_every_claim_of_the_demo_is_proved() -> None:
    ended = redoubt({}, "demo", "-o", "json", within_s=600)
    assert ended.code == ExitCode.OK, ended.err
    assert {row["verdict"] for row in ended.json} == {"PROVED"}
    assert len(ended.json) > 12

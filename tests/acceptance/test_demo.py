"""The demo's table, its exit codes, and what it leaves behind when it is interrupted; the whole of it under `chaos`."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from cli.demo import certificates, command
from cli.demo.proofs import Proof, Proofs, expect, show
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


ACME = {"A real ACME CA's certificate is on", "A certificate is revoked at the CA", "The first CA is down"}
SKIPPED = {
    "softhsm2": {"The key of three web servers lies in an HSM"},
    "pkcs11-engine": {"The key of three web servers lies in an HSM"},
    "pebble": ACME,
    "chromium": {"A person starts it from the Web UI's form"},
    "vault": {"Vault's PKI signs for a service"},
}
"""By the tool that can't be had, the claims that need it. All others are shown."""


@pytest.mark.parametrize("missing", ["", *SKIPPED])
def test_only_what_needs_a_missing_tool_is_skipped(missing: str, tmp_path: Path) -> None:
    rows = _played(tmp_path, missing)
    skipped = [row.claim for row in rows if row.verdict == "SKIPPED"]
    wanted = SKIPPED.get(missing, set())
    assert len(skipped) == len(wanted)
    assert all(any(claim.startswith(begin) for begin in wanted) for claim in skipped)
    assert all(f"{missing} can't be had: so it is." == row.seen for row in rows if row.verdict == "SKIPPED")
    assert len([row for row in rows if row.verdict == "PROVED"]) >= 10
    assert any(row.claim.startswith("The local CA's certificate") for row in rows) is (missing == "pebble")


def test_without_a_web_server_our_own_api_is_still_renewed(tmp_path: Path) -> None:
    proved = [row.claim for row in _played(tmp_path, "nginx") if row.verdict == "PROVED"]
    assert [claim.split(",")[0] for claim in proved] == ["Our own API", "The evidence log verifies"]


def _played(folder: Path, missing: str) -> list[Proof]:
    """The rows, with claims that show nothing."""
    proofs = Proofs(lambda tool: "so it is." if tool == missing else "")
    listed = certificates.claims(Stack(folder, without={missing}))
    proofs.play(replace(claim, show=lambda _: None) for claim in listed)
    return proofs.rows


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
    # One that was just being started is ended by the kernel, a moment after its supervisor.
    wait_until(lambda: not [one for one in _commands() if str(tmp_path) in one], 30, "nothing left running")


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


@pytest.mark.chaos
@pytest.mark.parametrize("missing", ["pebble", "nginx", "softhsm2"])
def test_the_demo_goes_on_with_what_there_is(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that does not need the missing tool is really shown."""
    real = installer.install

    def install(names: Iterable[str], told: installer.Progress) -> list[Outcome]:
        gone = Outcome(tool=missing, status="missing", without="it was hidden")
        return [gone if name == missing else real([name], told)[0] for name in names]

    monkeypatch.setattr(installer, "install", install)
    tools = command.Tools()
    proofs = Proofs(tools.lacking)
    tools.get(*certificates.TOOLS)
    again = command.play(proofs, tools)
    shutil.rmtree(again.split()[3].rstrip("."))
    assert f"once {missing} is here" in again
    assert {row.verdict for row in proofs.rows} == {"PROVED", "SKIPPED"}, proofs.rows
    assert proofs.exit_code is ExitCode.SKIPPED

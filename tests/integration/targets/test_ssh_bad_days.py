"""A host that is another, that does not let us in, that hangs, breaks off, or says too much."""

import fcntl
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.hosts.ssh import SshHost
from clients.secrets.resolver import Secrets
from schemas.errors import (
    HostKeyRefused,
    InvalidReference,
    ReloadFailed,
    TargetRefused,
    TargetUnreachable,
)
from tests.integration.targets.elsewhere import with_program_over_ssh
from tests.integration.targets.material import TestCa, going, renew, undoing
from tests.servers.sshd import Sshd


@pytest.fixture
def host(sshd: Sshd) -> Iterator[SshHost]:
    made = SshHost(sshd.login(), Secrets())
    yield made
    made.close()


def key_pair(file: Path, *more: str) -> str:
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", *more, "-f", str(file)]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    return " ".join(file.with_suffix(".pub").read_text().split()[:2])


def test_words_go_as_they_are_and_come_back_apart(host: SshHost) -> None:
    answer = host.run(("sh", "-c", 'printf %s "$1"; echo late >&2; exit 3', "x", "a 'b' $(id)\n;"), 60)
    assert (answer.code, answer.output, answer.words) == (3, b"a 'b' $(id)\n;", "late")
    assert host.run(("sh", "-c", "kill -9 $$"), 60).code == 137


def test_another_host_key_than_the_pinned_one_is_refused_before_we_say_who_we_are(
    sshd: Sshd, tmp_path: Path
) -> None:
    pinned = key_pair(tmp_path / "other")
    before = (sshd.folder / "sshd.log").read_text().count("Accepted")
    stranger = SshHost(sshd.login(host_key=pinned), Secrets())
    with pytest.raises(HostKeyRefused, match=r"127\.0\.0\.1.*another host key") as refused:
        stranger.run(("true",), 60)
    assert "docs/targets.md" in str(refused.value)
    stranger.close()
    assert (sshd.folder / "sshd.log").read_text().count("Accepted") == before


def test_a_key_that_the_host_does_not_know_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    key_pair(tmp_path / "unknown")
    stranger = SshHost(sshd.login(key=f"file:{tmp_path / 'unknown'}"), Secrets())
    with pytest.raises(TargetRefused, match="does not let our user in"):
        stranger.run(("true",), 60)
    stranger.close()


def test_a_key_that_can_not_be_used_is_named_and_not_repeated(sshd: Sshd, tmp_path: Path) -> None:
    key_pair(tmp_path / "locked", "-N", "a-passphrase-41c7")
    nonsense = tmp_path / "nonsense"
    nonsense.touch(mode=0o600)
    nonsense.write_text("canary-5e1a")
    for file in (tmp_path / "locked", nonsense):
        host = SshHost(sshd.login(key=f"file:{file}"), Secrets())
        with pytest.raises(InvalidReference, match="no private key without a passphrase") as refused:
            host.run(("true",), 60)
        assert "canary" not in str(refused.value)
        host.close()


def test_over_a_jump_host_whose_key_is_pinned_too(sshd: Sshd, tmp_path: Path) -> None:
    host = SshHost(sshd.login(), Secrets(), sshd.login())
    assert host.run(("echo", "there"), 60).output == b"there\n"
    host.close()
    host = SshHost(sshd.login(), Secrets(), sshd.login(host_key=key_pair(tmp_path / "other")))
    with pytest.raises(HostKeyRefused):
        host.run(("true",), 60)
    host.close()


def test_nobody_there_and_one_that_says_nothing(sshd: Sshd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        host = SshHost(sshd.login(port=port), Secrets(), connect_s=0.5)
        with pytest.raises(TargetUnreachable, match="did not answer in time"):
            host.run(("true",), 60)
        host.close()
    host = SshHost(sshd.login(port=port), Secrets())
    with pytest.raises(TargetUnreachable, match="can't be reached"):
        host.run(("true",), 60)
    host.close()


def test_what_runs_late_is_given_up_and_the_next_goes_over_a_new_connection(host: SshHost) -> None:
    with pytest.raises(TargetUnreachable, match="did not answer in time"):
        host.run(("sleep", "600"), 0.5)
    assert host.run(("echo", "again"), 60).output == b"again\n"


def test_a_connection_that_broke_while_it_was_idle_is_made_anew(host: SshHost) -> None:
    session = int(host.run(("sh", "-c", "echo $PPID"), 60).output)
    subprocess.run(["kill", "-9", str(session)], check=True, timeout=60)
    assert host.run(("echo", "again"), 60).output == b"again\n"


def test_one_that_breaks_off_in_the_middle_is_unreachable(host: SshHost) -> None:
    with pytest.raises(TargetUnreachable, match=r"connection failed|can't be reached"):
        host.run(("sh", "-c", "kill -9 $PPID; sleep 600"), 60)
    assert host.run(("echo", "again"), 60).output == b"again\n"


def test_more_than_a_program_has_to_say_is_not_read(host: SshHost) -> None:
    with pytest.raises(TargetUnreachable, match="says more than"):
        host.run(("head", "-c", "3000000", "/dev/zero"), 60)


def test_a_file_comes_once_whole_and_closed_to_others(host: SshHost, tmp_path: Path) -> None:
    host.put(str(tmp_path / "new"), {"a.pem": b"x" * 300_000})
    assert (tmp_path / "new/a.pem").read_bytes() == b"x" * 300_000
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new/a.pem").stat().st_mode & 0o777 == 0o600
    with pytest.raises(TargetUnreachable, match="did not take a file"):
        host.put(str(tmp_path / "new"), {"a.pem": b"y"})
    assert (tmp_path / "new/a.pem").read_bytes() == b"x" * 300_000


def test_a_reload_that_hangs_there_is_killed_and_told(sshd: Sshd, tmp_path: Path) -> None:
    target = with_program_over_ssh(tmp_path, sshd.login(), reload_timeout_s=2)
    version = renew(target, TestCa(), 1)
    (tmp_path / "hang").touch()
    with pytest.raises(
        ReloadFailed, match=r"web-1: its reload command did not end within 2 s and was killed"
    ):
        target.switch(version, going(1))
    (tmp_path / "hang").unlink()
    target.close()
    patient = with_program_over_ssh(tmp_path, sshd.login())
    patient.switch_back(None, undoing(1))
    assert patient.current() is None
    patient.close()


def test_a_lock_that_another_holds_is_waited_for_and_then_named(sshd: Sshd, tmp_path: Path) -> None:
    target = with_program_over_ssh(tmp_path, sshd.login(), reload_timeout_s=0.1)
    version = renew(target, TestCa(), 1)
    with (tmp_path / "target/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(TargetUnreachable, match=r"web-1: another process holds its lock \(switching\)"):
            target.switch(version, going(1))
    assert target.current() is None
    target.close()

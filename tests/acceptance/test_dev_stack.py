"""`redoubt dev` as people have it: what it refuses, what it starts again, what it leaves behind (nothing)."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.dev import layout
from cli.dev.ports import Ports
from tests.acceptance.embedded import redoubt
from tests.acceptance.fleet import Ended, wait_until
from tests.servers.starters import scattered_offset

STARTED_S = 120
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}
"""127.0.0.1 and ::1, as the kernel prints them."""
LISTEN = "0A"


class Dev:
    """One `redoubt dev`, as a process of its own in the foreground of nobody's terminal."""

    def __init__(self, folder: Path, offset: int) -> None:
        self.folder = folder
        self.offset = offset
        self.said = folder.with_name(f"said-{len(list(folder.parent.glob('said-*')))}")
        argv = [sys.executable, "-m", "cli.main", "dev", "--dir", str(folder), "--port-offset", str(offset)]
        with self.said.open("ab") as said:
            self.process = subprocess.Popen(argv, stdout=said, stderr=said, start_new_session=True)

    def until_it_says(self, words: str) -> None:
        wait_until(lambda: words in self.heard() or self.process.poll() is not None, STARTED_S, words)
        assert words in self.heard(), self.heard()

    def heard(self) -> str:
        return self.said.read_text()

    def children(self) -> dict[int, str]:
        """Every process that logs into the stack's folder, with what it runs: also one that lost its parent."""
        return {pid: command for pid in _pids() if self._is_ours(pid) and (command := _command(pid))}

    def _is_ours(self, pid: int) -> bool:
        try:
            logs_to = Path(f"/proc/{pid}/fd/1").readlink()
        except OSError:
            return False
        return logs_to.is_relative_to(self.folder)

    def pid_of(self, words: str) -> int:
        return next(pid for pid, command in self.children().items() if words in command)

    def redoubt(self, *words: str, given: str = "") -> Ended:
        return redoubt(layout.environment(self.folder), *words, given=given)


def _pids() -> list[int]:
    return [int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit()]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


Starter = Callable[[], Dev]


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Starter]:
    """Starts the stack of this test, again and again on the same folder and ports."""
    offset, started = scattered_offset(), list[Dev]()

    def start() -> Dev:
        started.append(Dev(tmp_path / "dev", offset))
        started[-1].until_it_says("Ctrl-C stops everything.")
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
    # They share one folder.
    wait_until(lambda: not any(one.children() for one in started), 30, "the end of every child")


def test_it_is_private_refuses_a_second_one_mends_itself_and_ends_on_ctrl_c(
    dev: Starter, tmp_path: Path
) -> None:
    stack = dev()
    _is_private(stack)

    # A second one on the same folder, and one that would use the same ports.
    same_folder = redoubt({}, "dev", "--dir", str(stack.folder), "--port-offset", "0")
    assert same_folder.code == 1
    assert "AlreadyRunning" in same_folder.err
    same_ports = redoubt({}, "dev", "--dir", str(tmp_path / "other"), "--port-offset", str(stack.offset))
    assert same_ports.code == 5
    assert str(Ports().moved(stack.offset).temporal) in same_ports.err
    assert "--port-offset" in same_ports.err

    os.kill(stack.pid_of("workers run certificates"), signal.SIGKILL)
    stack.until_it_says("worker certificates was killed (SIGKILL); it was started again")
    assert len(stack.children()) >= len(Ports.__dataclass_fields__) // 2

    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(60) == 0
    assert not stack.children()


def _is_private(stack: Dev) -> None:
    listening = {port: address for pid in stack.children() for port, address in _listens(pid)}
    ports = Ports().moved(stack.offset)
    assert set(vars(ports).values()) - set(listening) <= {ports.acme_names, ports.api}, (
        "every port but the name server's, which answers UDP, and the API's, which needs a policy"
    )
    assert set(listening.values()) <= LOOPBACK
    assert stat.S_IMODE(stack.folder.stat().st_mode) == 0o700
    kept = [*stack.folder.glob("secrets/*"), stack.folder / layout.PIN]
    assert len(kept) > 5
    assert {stat.S_IMODE(file.stat().st_mode) for file in kept} == {0o600}
    assert (stack.folder / ".gitignore").read_text() == "*\n"


def _listens(pid: int) -> Iterator[tuple[int, str]]:
    """Ports and addresses on which a process accepts TCP connections."""
    inodes = {name.removeprefix("socket:[").removesuffix("]") for name in _opened(pid)}
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            address, port = fields[1].split(":")
            if fields[3] == LISTEN and fields[9] in inodes:
                yield int(port, 16), address


def _opened(pid: int) -> Iterator[str]:
    """What a process has open; one of them may be closed again, or the process ended, before it is looked at."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for handle in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                yield str(handle.readlink())


@pytest.mark.chaos  # long: a whole stack, twice
def test_killed_it_leaves_no_orphan_and_started_again_its_runs_go_on(dev: Starter) -> None:
    stack = dev()
    given = json.dumps({"certificate": "shop", "force": True})
    started = stack.redoubt("start", "CertificateRenewal", "--input", "-", given=given)
    assert started.code == 0, started.err
    stack.process.kill()
    wait_until(lambda: not stack.children(), 30, "the end of every child")

    again = dev()
    ended = again.redoubt("watch", "certificate-renewal/shop", "-o", "json")
    assert ended.code == 0, ended.err
    assert ended.json["state"] == "COMPLETED"


def test_a_taken_port_is_named_before_anything_is_started(tmp_path: Path) -> None:
    offset = scattered_offset()
    ports = Ports().moved(offset)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports.web_2))
        taken.listen()
        ended = redoubt({}, "dev", "--dir", str(tmp_path / "dev"), "--port-offset", str(offset))
    assert ended.code == 5
    assert f"{ports.web_2} (web 2)" in ended.err
    assert "--port-offset" in ended.err
    assert not list((tmp_path / "dev").glob("logs/*"))


def test_what_is_missing_is_named_with_the_command_that_gets_it(tmp_path: Path) -> None:
    nowhere = {"PATH": str(tmp_path), "REDOUBT_CACHE": str(tmp_path / "cache")}
    ended = redoubt(nowhere, "dev", "--dir", str(tmp_path / "dev"))
    assert ended.code == 5
    assert "temporal" in ended.err
    assert "redoubt tools install --for dev" in ended.err
    assert not (tmp_path / "dev").exists()

"""The program that a host runs for `ssh-files`, killed before every command that changes something, then run again.

Here it runs on this host without SSH: what is asked is what it leaves in the folder.
"""

import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from clients.hosts import Answer
from clients.targets.ssh_files import SshFilesTarget
from schemas.errors import RedoubtError, TargetUnreachable
from schemas.settings import targets
from tests.integration.targets.material import NAME, TestCa, going, ordered, renew, undoing

CHANGING = ("mv", "ln", "rm", "sync", "mkdir", "openssl")
WRAPPER = """\
#!/bin/sh
read -r left < "$LEFT"
left=$((left - 1))
echo "$left" > "$LEFT"
[ "$left" != 0 ] || kill -9 0
exec {real} "$@"
"""


class Here:
    """The port `Host` on this host; with `left`, the Nth of its changing commands kills all that it runs."""

    name = "here"

    def __init__(self, wrappers: Path | None = None, left: int = 0) -> None:
        self._wrappers, self._left, self.killed = wrappers, left, False

    def run(self, argv: Sequence[str], timeout_s: float) -> Answer:
        env = {"PATH": os.environ["PATH"]}
        if self._wrappers:
            count = self._wrappers / "left"
            count.write_text(f"{self._left}\n")
            env = {"PATH": f"{self._wrappers}:{env['PATH']}", "LEFT": str(count)}
        ended = subprocess.run(
            argv, capture_output=True, env=env, timeout=timeout_s, start_new_session=True, check=False
        )
        if self._wrappers:
            self._left = int((self._wrappers / "left").read_text())
        self.killed |= ended.returncode == -signal.SIGKILL
        code = ended.returncode if ended.returncode >= 0 else 128 - ended.returncode
        return Answer(code=code, output=ended.stdout, words=ended.stderr.decode())

    def put(self, folder: str, files: Mapping[str, bytes]) -> None:
        Path(folder).mkdir(mode=0o700)
        for name, data in files.items():
            (Path(folder) / name).touch(mode=0o600)
            (Path(folder) / name).write_bytes(data)

    def close(self) -> None:
        """There is no connection."""


@pytest.fixture
def wrappers(tmp_path: Path) -> Path:
    folder = tmp_path / "wrappers"
    folder.mkdir()
    for name in CHANGING:
        file = folder / name
        file.write_text(WRAPPER.format(real=shutil.which(name)))
        file.chmod(0o700)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "target"
    made.mkdir(mode=0o700)
    return made


def on(folder: Path, host: Here, **more: object) -> SshFilesTarget:
    login = {
        "host": "here",
        "user": "nobody",
        "key": "file:none",
        "host_key": "ssh-ed25519 AAAA",
    }
    given = {"kind": "ssh-files", "name": "web-1", "ssh": login, "directory": str(folder), "reload": ["true"]}
    settings = targets.SshFilesTarget.model_validate(
        {**given, "verify": {"host": "x"}, "keep_versions": 1, **more}
    )
    return SshFilesTarget(settings, host)


def _state(folder: Path) -> dict[str, tuple[str, str]]:
    """Every path with its kind and content; of keys, that they are there, and of uploads nothing."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", str(path.readlink()))
        elif path.is_file():
            text = "" if name.startswith("keys/") else path.read_text()
            found[name] = (oct(stat.S_IMODE(path.stat().st_mode)), text)
        elif not name.startswith("incoming/"):
            found[name] = (oct(stat.S_IMODE(path.stat().st_mode)), "")
    return {name: one for name, one in found.items() if not name.startswith("incoming/")}


def _killed_everywhere(folder: Path, wrappers: Path, act: Callable[[SshFilesTarget], object]) -> int:
    """Kill it before its first changing command, its second, …, each time on the same folder; how many there are."""
    before = folder.with_name("before")
    shutil.copytree(folder, before, symlinks=True)
    act(on(folder, Here()))
    wanted = _state(folder)
    for number in range(1, 200):
        shutil.rmtree(folder)
        shutil.copytree(before, folder, symlinks=True)
        host = Here(wrappers, number)
        try:
            act(on(folder, host))
        except RedoubtError:
            assert host.killed
        if not host.killed:
            return number - 1
        act(on(folder, Here()))
        assert _state(folder) == wanted, f"killed before its command number {number}"
    raise AssertionError("it never came to its end")


def test_killed_while_it_makes_a_key(folder: Path, wrappers: Path) -> None:
    assert _killed_everywhere(folder, wrappers, lambda it: it.make_key("ab", "EC-P256", (NAME,))) >= 6


def test_killed_while_it_stages(folder: Path, wrappers: Path) -> None:
    bundle = ordered(on(folder, Here()), TestCa(), "ab")
    assert _killed_everywhere(folder, wrappers, lambda it: it.stage(bundle, going(1))) >= 8


def test_killed_while_it_switches_and_goes_back(folder: Path, wrappers: Path) -> None:
    target, ca = on(folder, Here()), TestCa()
    first, second = renew(target, ca, 1), renew(target, ca, 2)
    target.switch(first, going(2))
    assert _killed_everywhere(folder, wrappers, lambda it: it.switch(second, going(3))) >= 8
    shutil.rmtree(folder.with_name("before"))
    assert _killed_everywhere(folder, wrappers, lambda it: it.switch_back(None, undoing(3))) >= 5


def test_killed_while_it_retires(folder: Path, wrappers: Path) -> None:
    target, ca = on(folder, Here()), TestCa()
    versions = [renew(target, ca, number) for number in range(1, 4)]
    target.switch(versions[2], going(3))
    assert _killed_everywhere(folder, wrappers, lambda it: it.retire((), going(3))) >= 4
    assert not (folder / "versions" / versions[0]).exists()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_change_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(TargetUnreachable, match=r"web-1.*open to other users"):
        on(folder, Here()).make_key("ab", "EC-P256", (NAME,))
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_a_link_or_missing_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    for other in (tmp_path / "link", tmp_path / "nowhere"):
        with pytest.raises(TargetUnreachable, match="missing, or open"):
            on(other, Here()).make_key("ab", "EC-P256", (NAME,))


def test_a_key_that_others_may_read_is_not_used(folder: Path) -> None:
    target = on(folder, Here())
    bundle = ordered(target, TestCa(), "ab")
    (folder / "keys/ab.pem").chmod(0o640)
    with pytest.raises(TargetUnreachable, match="open to other users"):
        target.stage(bundle, going(1))
    assert target.read(bundle.version) is None


@pytest.mark.parametrize("name", ["current", "fence"])
def test_what_stands_in_the_place_of_a_link_is_not_replaced(folder: Path, name: str) -> None:
    target = on(folder, Here())
    version = renew(target, TestCa(), 1)
    (folder / name).unlink(missing_ok=True)
    (folder / name).mkdir()
    with pytest.raises(TargetUnreachable, match="changed by someone else"):
        target.switch(version, going(1))
    assert (folder / name).is_dir()


def test_no_word_from_outside_becomes_a_command(folder: Path) -> None:
    note = folder / "note"
    target = on(folder, Here(), reload=["touch", str(note), f"{folder}/$(touch evil); echo"])
    version = renew(target, TestCa(), 1)
    target.switch(version, going(1))
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "$(touch evil); echo",
        "lock",
        "note",
    ]
    for name in ("a; touch evil", "$(touch evil)", "a,DNS:evil.example"):
        with pytest.raises(RedoubtError, match="no DNS name"):
            target.make_key("ab", "EC-P256", (name,))

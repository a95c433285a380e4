"""A full disk, a missing or foreign folder, links that lead elsewhere, a reload that hangs: named, and nothing left."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clients.targets.files import FilesTarget
from schemas.errors import Fenced, ReloadFailed, TargetUnreachable
from tests.integration.targets.attempt import answer, started
from tests.integration.targets.material import (
    TestCa,
    configured,
    going,
    ordered,
    renew,
    served,
    undoing,
    with_program,
)


def _namespace() -> tuple[str, ...]:
    """How a program gets a mount namespace of its own: as root, or as a user who is root in a user namespace."""
    for way in (("unshare", "-m"), ("unshare", "-rm")):
        mount = (*way, "mount", "-t", "tmpfs", "none", "/mnt")
        if subprocess.run(mount, capture_output=True, check=False, timeout=20).returncode == 0:
            return way
    pytest.skip("nothing may be mounted here, so there is no full disk")


@pytest.fixture
def ca() -> TestCa:
    return TestCa()


@pytest.fixture
def target(tmp_path: Path) -> FilesTarget:
    return with_program(tmp_path)


@pytest.mark.parametrize("kind", ["limit", "tmpfs"])
def test_a_full_disk_stops_a_new_version_and_never_the_way_back(tmp_path: Path, kind: str) -> None:
    """A limit on the size of files is the nearest thing where nothing may be mounted."""
    namespace = _namespace() if kind == "tmpfs" else ()
    argv = (*namespace, sys.executable, "-m", "tests.integration.targets.full_disk", kind, str(tmp_path))
    run = subprocess.run(argv, capture_output=True, check=True, timeout=90)
    seen = json.loads(run.stdout.splitlines()[-1])
    cause = "its disk is full" if kind == "tmpfs" else "a file would grow over the size"
    assert cause in seen["key"]["detail"]
    assert cause in seen["stage"]["detail"]
    assert "web-1" in seen["stage"]["detail"]
    assert seen["left"] == seen["before"]
    assert seen["switched"] == seen["versions"][1]
    assert seen["restored"] == seen["versions"][0]
    assert seen["later"] == "Fenced"


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    target = with_program(tmp_path)
    (tmp_path / "target").rmdir()
    with pytest.raises(TargetUnreachable, match="web-1: its folder is missing"):
        target.current()
    with pytest.raises(TargetUnreachable, match="web-1: its folder is missing"):
        target.make_key("ab", "EC-P256", ("www.example.test",))
    assert not (tmp_path / "target").exists()


def test_a_folder_that_we_may_not_use(tmp_path: Path) -> None:
    """Root may use any: then the attempt is made without the two capabilities that let it."""
    with_program(tmp_path)
    before = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    (tmp_path / "target").chmod(0)
    refused = answer(started(tmp_path, {"do": "current"}, before=before))
    (tmp_path / "target").chmod(0o700)
    assert refused["error"] == "TargetUnreachable"
    assert refused["detail"] == "Target web-1: permission is denied (reading what is current)."


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_a_folder_that_others_may_change_is_refused(target: FilesTarget, tmp_path: Path, mode: int) -> None:
    (tmp_path / "target").chmod(mode)
    with pytest.raises(TargetUnreachable, match="open to, other users"):
        target.current()


def test_a_key_that_others_may_read_is_not_used(target: FilesTarget, tmp_path: Path) -> None:
    target.make_key("ab", "EC-P256", ("www.example.test",))
    (tmp_path / "target/keys/ab.pem").chmod(0o644)
    with pytest.raises(TargetUnreachable, match="open to, other users"):
        target.make_key("ab", "EC-P256", ("www.example.test",))


@pytest.mark.parametrize("name", ["versions", "keys"])
def test_a_folder_that_is_a_link_is_not_followed(
    target: FilesTarget, ca: TestCa, tmp_path: Path, name: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / "target" / name).symlink_to(elsewhere)
    with pytest.raises(TargetUnreachable, match="a link stands where a folder must be"):
        renew(target, ca, 1)
    assert list(elsewhere.iterdir()) == []


def test_files_that_are_links_are_neither_read_nor_written(
    target: FilesTarget, ca: TestCa, tmp_path: Path
) -> None:
    root, outside = tmp_path / "target", tmp_path / "outside"
    outside.write_text("untouched")
    outside.chmod(0o600)
    bundle = ordered(target, ca, "ab")
    (root / "keys/ac.pem").symlink_to(outside)
    with pytest.raises(TargetUnreachable, match="a link stands where a file must be"):
        target.make_key("ac", "EC-P256", ("www.example.test",))
    (root / "keys/.ad.pem").symlink_to(outside)
    target.make_key("ad", "EC-P256", ("www.example.test",))
    (root / "versions").mkdir(mode=0o700)
    (root / "versions/.draft").symlink_to(tmp_path)
    target.stage(bundle, going(1))
    (root / ".current").symlink_to(outside)
    target.switch(bundle.version, going(1))
    (root / "lock").unlink()
    (root / "lock").symlink_to(outside)
    with pytest.raises(TargetUnreachable, match="a link stands where a file must be"):
        target.switch(bundle.version, going(1))
    assert outside.read_text() == "untouched"


@pytest.mark.parametrize("text", ["/etc", "versions/../../outside", "versions/", "versions/" + "g" * 64])
def test_a_current_that_someone_else_has_set_is_not_believed(
    target: FilesTarget, tmp_path: Path, text: str
) -> None:
    (tmp_path / "target/current").symlink_to(text)
    with pytest.raises(TargetUnreachable, match="changed by someone else"):
        target.current()


def test_a_current_that_is_a_folder_is_not_replaced(target: FilesTarget, ca: TestCa, tmp_path: Path) -> None:
    version = renew(target, ca, 1)
    (tmp_path / "target/current").mkdir()
    with pytest.raises(TargetUnreachable, match="stands where a link"):
        target.current()
    with pytest.raises(TargetUnreachable, match="a folder stands where"):
        target.switch(version, going(1))


@pytest.mark.parametrize("text", ["nonsense", "operation-0009.x", "../x.1"])
def test_a_fence_that_can_not_be_read_lets_nobody_pass(
    target: FilesTarget, ca: TestCa, tmp_path: Path, text: str
) -> None:
    version = renew(target, ca, 1)
    (tmp_path / "target/fence").unlink()
    (tmp_path / "target/fence").symlink_to(text)
    with pytest.raises(TargetUnreachable, match="fence was changed by someone else"):
        target.switch(version, going(1))
    assert target.current() is None


def test_an_operation_that_could_be_a_path_is_refused(target: FilesTarget, ca: TestCa) -> None:
    version = renew(target, ca, 1)
    with pytest.raises(TargetUnreachable, match="operation's ID"):
        target.switch(version, going(1).model_copy(update={"operation": "../../etc"}))


def test_a_reload_that_hangs_is_ended_and_undone(ca: TestCa, tmp_path: Path) -> None:
    target, hurried = with_program(tmp_path), with_program(tmp_path, reload_timeout_s=2)
    first, second = renew(target, ca, 1), renew(target, ca, 2)
    target.switch(first, going(2))
    (tmp_path / "hang").touch()
    with pytest.raises(ReloadFailed, match="web-1: its reload command did not end within 2 s"):
        hurried.switch(second, going(2))
    (tmp_path / "hang").unlink()
    target.switch_back(first, undoing(2))
    assert served(tmp_path)[-1] == first


def test_a_check_that_fails_comes_before_the_reload(ca: TestCa, tmp_path: Path) -> None:
    check = (sys.executable, "-S", "-c", "raise SystemExit('emerg: no such directive')")
    target = with_program(tmp_path, check=check)
    version = renew(target, ca, 1)
    with pytest.raises(ReloadFailed, match=r"its check command failed with exit code 1; .*no such directive"):
        target.switch(version, going(1))
    assert served(tmp_path) == []


def test_a_folder_whose_path_could_be_a_directive_is_refused(ca: TestCa, tmp_path: Path) -> None:
    odd = tmp_path / 'a"; root x; #'
    odd.mkdir()
    target = FilesTarget(configured(odd, ("true",)))
    with pytest.raises(TargetUnreachable, match="a path of its settings"):
        renew(target, ca, 1)
    assert list((odd / "target/versions").iterdir()) == []


def test_keys_of_orders_that_came_to_nothing_are_forgotten_in_time(
    target: FilesTarget, ca: TestCa, tmp_path: Path
) -> None:
    version = renew(target, ca, 1)
    for key_id in ("aa", "bb"):
        target.make_key(key_id, "EC-P256", ("www.example.test",))
    for name in ("0001", "aa"):
        os.utime(tmp_path / f"target/keys/{name}.pem", (0, 0))
    target.switch(version, going(1))
    target.retire((), going(1))
    assert {file.name for file in (tmp_path / "target/keys").iterdir()} == {"0001.pem", "bb.pem"}


def test_nothing_comes_through_after_a_later_operation(target: FilesTarget, ca: TestCa) -> None:
    version = renew(target, ca, 1)
    renew(target, ca, 2)
    with pytest.raises(Fenced, match="web-1 has seen a later step"):
        target.switch(version, going(1))

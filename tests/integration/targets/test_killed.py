"""SIGKILL at every named point, then the same attempt again: as if nothing had happened."""

from pathlib import Path

import pytest

from clients.targets.files import FilesTarget
from schemas.errors import Fenced, TargetUnreachable
from tests.integration.targets.attempt import answer, started, stopped_at
from tests.integration.targets.material import TestCa, going, ordered, renew, served, undoing, with_program


@pytest.fixture
def ca() -> TestCa:
    return TestCa()


@pytest.fixture
def target(tmp_path: Path) -> FilesTarget:
    return with_program(tmp_path)


def test_killed_while_it_makes_a_key(target: FilesTarget, tmp_path: Path) -> None:
    with stopped_at(tmp_path, "target.key_made", do="make_key", key_id="ab"):
        made = (tmp_path / "target/keys/ab.pem").read_bytes()
    target.make_key("ab", "EC-P256", ("www.example.test",))
    assert (tmp_path / "target/keys/ab.pem").read_bytes() == made


@pytest.mark.parametrize("point", ["target.fenced", "target.drafted", "target.staged"])
def test_killed_while_it_stages(target: FilesTarget, ca: TestCa, tmp_path: Path, point: str) -> None:
    bundle = ordered(target, ca, "ab")
    with stopped_at(tmp_path, point, do="stage", bundle=bundle.model_dump_json()):
        complete = target.read(bundle.version) is not None
        assert complete == (point == "target.staged")
    target.stage(bundle, going(1))
    assert target.read(bundle.version) == bundle.fullchain
    assert [path.name for path in (tmp_path / "target/versions").iterdir()] == [bundle.version]
    target.switch(bundle.version, going(1))


@pytest.mark.parametrize("point", ["target.fenced", "target.switched", "target.reloaded"])
def test_killed_while_it_switches(target: FilesTarget, ca: TestCa, tmp_path: Path, point: str) -> None:
    first, second = renew(target, ca, 1), renew(target, ca, 2)
    target.switch(first, going(2))
    attempt = {"do": "switch", "version": second, "operation": "operation-0003"}
    with stopped_at(tmp_path, point, **attempt):
        assert target.current() == (first if point == "target.fenced" else second)
        assert served(tmp_path)[-1] == (second if point == "target.reloaded" else first)
    assert answer(started(tmp_path, attempt)) == {"error": None, "detail": None}
    assert target.current() == second
    assert served(tmp_path)[-1] == second


@pytest.mark.parametrize("point", ["target.fenced", "target.restored", "target.restore_reloaded"])
@pytest.mark.parametrize("to_none", [False, True], ids=["to-the-old-one", "to-none"])
def test_killed_while_it_undoes(
    target: FilesTarget, ca: TestCa, tmp_path: Path, point: str, to_none: bool
) -> None:
    first, second = renew(target, ca, 1), renew(target, ca, 2)
    target.switch(first, going(2))
    target.switch(second, going(2))
    back = None if to_none else first
    attempt = {"do": "switch_back", "operation": "operation-0002", "epoch": "2"}
    if back:
        attempt["version"] = back
    with stopped_at(tmp_path, point, **attempt):
        assert target.current() == (second if point == "target.fenced" else back)
        assert served(tmp_path)[-1] == ((back or "nothing") if point == "target.restore_reloaded" else second)
    with pytest.raises(Fenced):
        target.switch(second, going(2))
    target.switch_back(back, undoing(2))
    assert target.current() == back
    assert served(tmp_path)[-1] == (back or "nothing")


def test_a_zombie_that_wakes_after_the_undo_has_no_effect(
    target: FilesTarget, ca: TestCa, tmp_path: Path
) -> None:
    """It stood still before the lock; when it comes, the undo has been there."""
    first, second = renew(target, ca, 1), renew(target, ca, 2)
    target.switch(first, going(2))
    target.switch(second, going(2))
    target.switch_back(first, undoing(2))
    zombie = answer(started(tmp_path, {"do": "switch", "version": second, "operation": "operation-0002"}))
    assert zombie["error"] == "Fenced"
    assert target.current() == first
    assert served(tmp_path)[-1] == first


def test_one_that_stands_still_under_the_lock_is_waited_for_and_then_named(
    ca: TestCa, tmp_path: Path
) -> None:
    target = with_program(tmp_path, reload_timeout_s=0.5)
    version = renew(target, ca, 1)
    with stopped_at(tmp_path, "target.switched", do="switch", version=version):
        with pytest.raises(
            TargetUnreachable, match=r"web-1: another process holds its lock \(switching back\)"
        ):
            target.switch_back(None, undoing(1))
        assert target.current() == version
    with_program(tmp_path).switch_back(None, undoing(1))
    assert target.current() is None


def test_two_processes_at_once_come_one_after_the_other(
    target: FilesTarget, ca: TestCa, tmp_path: Path
) -> None:
    versions = {number: renew(target, ca, number) for number in (1, 2, 3, 4)}
    attempts = {
        number: started(
            tmp_path, {"do": "switch", "version": version, "operation": f"operation-{number + 4:04}"}
        )
        for number, version in versions.items()
    }
    outcomes = {number: answer(process)["error"] for number, process in attempts.items()}
    assert set(outcomes.values()) <= {None, "Fenced"}
    assert outcomes[4] is None
    assert target.current() == versions[4]
    assert served(tmp_path) == [versions[number] for number in sorted(versions) if outcomes[number] is None]

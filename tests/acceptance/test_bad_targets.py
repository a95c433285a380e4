"""Targets on bad days: one fails, and every target shows again what it showed before; the error says what to do."""

import asyncio
import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.cases import FAIL_ONCE, HANG_ONCE, IDLE, ONE_ATTEMPT, Cases, assert_told, ended
from tests.acceptance.fleet import Fleet
from tests.acceptance.telling import assert_no_insides

Mount = Callable[[Path], None]

SQL = "DELETE FROM sites WHERE id = 7"

FAILING = {
    "refused": (
        "ReloadFailed",
        "refused-b: its reload command failed with exit code 1",
        "no such directive in …/nginx.conf:7",
    ),
    "hanging": (
        "ReloadFailed",
        "hanging-b: its reload command did not end within 5 s and was killed; it last said: busy: (the log",
    ),
    "idle": ("VerificationFailed", "did not steadily serve"),
    "open": ("TargetUnreachable", "open-b: its files belong to, or are open to, other users"),
    "lost": ("UndoIncomplete", "lost-b still has to be put back", "lost-b: its folder is missing"),
}


@pytest.fixture
def small_disk() -> Iterator[Mount]:
    """Mount a disk of 256 KiB, where this machine lets us."""
    mounted: list[Path] = []

    def mount(place: Path) -> None:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        argv = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "none", str(place)]
        ended = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20)
        if ended.returncode:
            pytest.skip(f"nothing may be mounted here, so there is no full disk: {ended.stderr.strip()}")
        mounted.append(place)

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True, timeout=20)


async def test_a_target_that_fails_takes_nothing_with_it(fleet: Fleet, tmp_path: Path) -> None:
    cases = Cases(fleet)
    cases.build(
        {
            "missing": {},
            **dict.fromkeys(("refused", "open"), ONE_ATTEMPT),
            # Both must outlast a good target's reload, which comes first.
            "hanging": {**ONE_ATTEMPT, "reload_timeout_s": 5.0},
            "idle": {**ONE_ATTEMPT, "verify_timeout_s": 5.0},
            "lost": {**ONE_ATTEMPT, "undo_patience_s": 0.5},
        }
    )
    fleet.worker()
    before = await cases.issue_first()
    assert all(all(shown) for shown in before.values())

    conf = cases.folder("refused-b") / "nginx.conf"
    cases.on_reload("refused-b", f'echo "no such directive in {conf}:7"; {FAIL_ONCE}')
    cases.on_reload("hanging-b", f'echo "busy: {SQL}"; {HANG_ONCE}')
    cases.on_reload("idle-b", IDLE)
    cases.on_reload("lost-a", f'rm "$1"; mv "{cases.folder("lost-b")}" "{tmp_path / "lost"}"')
    (cases.folder("open-b") / "keys").chmod(0o770)
    cases.folder("missing-b").rename(tmp_path / "missing")
    started = {case: await cases.start(case) for case in cases.names}
    assert "missing-b: its folder is missing" in await cases.tried_again("missing")
    (tmp_path / "missing").rename(cases.folder("missing-b"))
    ends = dict(zip(started, await asyncio.gather(*map(ended, started.values())), strict=True))

    for case, told in FAILING.items():
        assert_told(ends[case], *told)
        assert cases.shown(case) == before[case], case
    assert not ends["missing"].code
    assert not {*cases.shown("missing")} & {*before["missing"]}
    await assert_no_insides(cases, f"no such directive in {conf}:7", SQL)
    # What a person must put back, the next run puts back, and the one after it renews.
    (tmp_path / "lost").rename(cases.folder("lost-b"))
    again = await cases.renew(["lost"])
    assert_told(again["lost"], "Aborted", "What an earlier run had left was put back")
    assert cases.shown("lost") == before["lost"]
    at_last = await cases.renew(["lost", "refused"])
    assert not {case: end for case, end in at_last.items() if end.code}
    assert not {*cases.shown("lost")} & {*before["lost"]}
    watched = fleet.redoubt("watch", "certificate-renewal/idle")
    assert watched.code == 4
    assert "Connect to it with openssl s_client" in watched.out


async def test_a_full_disk_takes_nothing_with_it(fleet: Fleet, small_disk: Mount) -> None:
    cases = Cases(fleet)
    cases.build({"full": ONE_ATTEMPT})
    small_disk(cases.folder("full-b"))
    fleet.worker()
    before = await cases.issue_first()
    assert all(before["full"])
    _fill(cases.folder("full-b") / "filler")
    ends = await cases.renew(["full"])
    assert_told(ends["full"], "TargetUnreachable", "full-b: its disk is full")
    assert cases.shown("full") == before["full"]


def _fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as filler:
        for _ in range(600):
            filler.write(b"x" * 512)

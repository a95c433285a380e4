"""What a target does on a full disk: `python -m tests.integration.targets.full_disk tmpfs|limit FOLDER`.

`tmpfs` mounts 256 KiB there (in a mount namespace of its own) and fills it; `limit` forbids files to grow.
The last line that it prints is JSON.
"""

import contextlib
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from clients.targets.files import FilesTarget
from schemas.errors import RedoubtError
from tests.integration.targets.material import TestCa, configured, going, ordered, renew, undoing


def main(kind: str, folder: Path) -> None:
    place = folder / "disk"
    place.mkdir()
    if kind == "tmpfs":
        mount = ("mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "none", str(place))
        subprocess.run(mount, check=True, timeout=20)
    target, ca = FilesTarget(configured(place, ("true",))), TestCa()
    versions = [renew(target, ca, 1), renew(target, ca, 2)]
    target.switch(versions[0], going(2))
    third = ordered(target, ca, "ab")
    before = _files(place / "target")
    _fill(place / "filler") if kind == "tmpfs" else _limit(64)
    seen: dict[str, object] = {
        "versions": versions,
        "before": before,
        "key": _refused(lambda: target.make_key("cd", "EC-P256", ("www.example.test",))),
        "stage": _refused(lambda: target.stage(third, going(3))),
        "left": _files(place / "target"),
    }
    target.switch(versions[1], going(3))
    seen["switched"] = target.current()
    target.switch_back(versions[0], undoing(3))
    seen["restored"] = target.current()
    seen["later"] = _refused(lambda: target.switch(versions[1], going(3)))["code"]
    _limit(resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    print(json.dumps(seen))  # noqa: T201 - our answer


def _fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as filler:
        while filler.write(b"x" * 512):
            pass


def _limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "fence")


def _refused(effect: Callable[[], object]) -> dict[str, str]:
    try:
        effect()
    except RedoubtError as error:
        return {"code": error.code, "detail": error.detail}
    return {"code": "", "detail": "it went well"}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

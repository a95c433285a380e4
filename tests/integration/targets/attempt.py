"""One attempt at a target in a process of its own: `python -m tests.integration.targets.attempt FOLDER JSON`.

The last line that it prints is JSON: {"error": code, "detail": …}, both null if it went well.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from clients.targets import Bundle, Fence, Target
from schemas.errors import RedoubtError
from schemas.settings.targets import SshLogin
from tests.integration.targets.elsewhere import in_kubernetes, in_vault, with_program_over_ssh
from tests.integration.targets.material import with_program


def main(folder: Path, what: dict[str, str]) -> None:
    target, fence = _target(folder, what), _fence(what)
    try:
        match what["do"]:
            case "make_key":
                target.make_key(what["key_id"], "EC-P256", ("www.example.test",))
            case "stage":
                target.stage(Bundle.model_validate_json(what["bundle"]), fence)
            case "switch":
                target.switch(what["version"], fence)
            case "switch_back":
                target.switch_back(what.get("version"), fence)
            case "current":
                target.current()
    except RedoubtError as error:
        print(json.dumps({"error": error.code, "detail": error.detail}))  # noqa: T201 - our answer
    else:
        print(json.dumps({"error": None, "detail": None}))  # noqa: T201 - our answer


def _target(folder: Path, what: dict[str, str]) -> Target:
    """`where` says how the target is reached, `settings` what differs from the usual."""
    more = json.loads(what.get("settings", "{}"))
    match json.loads(what.get("where", "null")):
        case {"login": login}:
            return with_program_over_ssh(folder, SshLogin.model_validate(login), **more)
        case {"vault": address, "token": token, "path": path}:
            return in_vault(address, token, path)
        case {"kubernetes": server, "ca_file": ca_file, "token": token}:
            return in_kubernetes(server, ca_file, token)
    return with_program(folder, **more)


def _fence(what: dict[str, str]) -> Fence:
    return Fence(operation=what.get("operation", "operation-0001"), epoch=int(what.get("epoch", "1")))


def started(
    folder: Path, what: dict[str, str], *, point: str = "", before: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start an attempt; with `point`, it stops there and writes `folder/marker`."""
    crash = {"REDOUBT_CRASH_POINT": point, "REDOUBT_CRASH_MARKER": str(folder / "marker")} if point else {}
    argv = (*before, sys.executable, "-m", "tests.integration.targets.attempt", str(folder), json.dumps(what))
    return subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, **crash}, start_new_session=True)


def answer(process: subprocess.Popen[bytes]) -> dict[str, str | None]:
    said, _ = process.communicate(timeout=60)
    outcome: dict[str, str | None] = json.loads(said.splitlines()[-1])
    return outcome


@contextlib.contextmanager
def stopped_at(folder: Path, point: str, **what: str) -> Iterator[subprocess.Popen[bytes]]:
    """An attempt that stands still at a named point; it is killed (SIGKILL) at the end at the latest."""
    process = started(folder, what, point=point)
    try:
        wait_for(folder / "marker", process)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        (folder / "marker").unlink(missing_ok=True)


def wait_for(file: Path, process: subprocess.Popen[bytes], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not (file.exists() and file.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the attempt never came to {file.name}")
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))

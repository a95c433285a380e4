"""Prepare this checkout: the locked Python packages in .venv, and the command `redoubt`. Every target runs it first.

It runs under the system's Python, with nothing but the standard library, and in a syntax that an old Python
understands well enough to say what is wrong. Rules:

- No package host is named: pip and uv use whatever index the user has set up.
- Everything that is fetched is checked against hashes that are committed.
- A second run, with nothing changed, only compares a stamp, and the times of source files with their bytecode.
- Bytecode is made here, once: where Python is told to write none (PYTHONDONTWRITEBYTECODE, as in many containers),
  each worker would compile all that it imports, and the sandbox a workflow's module for each run.
- Two at once wait for each other; a kill at any point leaves nothing that the next run does not mend.
"""

from __future__ import annotations

import compileall
import contextlib
import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / ".redoubt-stamp"
UV_LOCK = ROOT / "deploy" / "uv.lock.txt"
LOCK = ROOT / "requirements.lock"
NEWEST_MINOR = 14
OLDEST_MINOR = 11
RESOLVE = ("--universal", "--generate-hashes", "--no-emit-index-url", "--no-header", "--extra", "dev")

ROOMS = (
    *("activities", "api", "benchmarks", "cli", "clients", "deploy", "rules", "schemas", "store", "tests"),
    *("workers", "workflows"),
)

PREREQUISITES = (
    ("git", ("git",), "`make check` can't tell which files belong to the repository"),
    (
        "a C compiler",
        ("cc", "gcc", "clang"),
        "Go programs that use C and packages without a wheel don't build",
    ),
    ("Go", ("go",), "Temporal, Pebble and Vault must be on PATH already or come from their vendors"),
    ("Node with npm", ("npm",), "the chain of the payments' chapter can't be had"),
    ("Java", ("java",), "workflows that wait for days are not tried in skipped time"),
    ("Maven", ("mvn",), "workflows that wait for days are not tried in skipped time"),
)
"""Name, its programs (one is enough), and what won't work without it. None of them stops the bootstrap."""


def main() -> None:
    _need_new_python()
    _name_what_is_missing()
    with _alone():
        if not STAMP.is_file() or STAMP.read_text() != _fingerprint():
            _prepare()
        _compile_rooms()
        if sys.argv[1:] == ["lock"]:
            _run(_uv(), "pip", "compile", "--quiet", *RESOLVE, str(ROOT / "pyproject.toml"), "-o", str(LOCK))


def _prepare() -> None:
    _need_venv_module()
    _say("preparing .venv (the first time takes about a minute)")
    began = time.monotonic()
    uv = _uv()
    _make_venv(uv)
    python = str(VENV / "bin" / "python")
    _say("installing the locked packages")
    sync = ("pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode")
    _run(uv, *sync, "--python", python, str(LOCK))
    _run(
        uv,
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--python",
        python,
        "-e",
        str(ROOT),
    )
    STAMP.write_text(_fingerprint())
    _say(f"ready after {time.monotonic() - began:.0f} s")


def _compile_rooms() -> None:
    """For the Python that runs this, which is the one of .venv."""
    for room in ROOMS:
        # What can't be compiled is told by whoever imports it.
        compileall.compile_dir(str(ROOT / room), quiet=2)


def _need_new_python() -> None:
    if sys.version_info >= (3, OLDEST_MINOR):
        return
    for minor in range(NEWEST_MINOR, OLDEST_MINOR - 1, -1):
        newer = shutil.which(f"python3.{minor}")
        if newer:
            os.execv(newer, [newer, *sys.argv])  # noqa: S606 - the same script under a newer Python, no shell
    _stop(
        f"Redoubt needs Python 3.{OLDEST_MINOR} or newer; this is {sys.version.split()[0]}, and no newer one is "
        "on PATH. Install one, or name it: make PYTHON=/path/to/python3 …"
    )


def _need_venv_module() -> None:
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian splits it off from Python
        import venv  # noqa: F401, PLC0415
    except ImportError:
        _stop(
            "Python's venv module is missing, and nothing works without it. "
            "On Debian and Ubuntu: apt-get install python3-venv"
        )


def _name_what_is_missing() -> None:
    for name, programs, without in PREREQUISITES:
        if not any(shutil.which(program) for program in programs):
            _say(f"{name} is missing: without it {without}.")


def _fingerprint() -> str:
    """What .venv is made from: if any of it changes, it is brought up to date."""
    digest = hashlib.sha256()
    for part in (LOCK, UV_LOCK, ROOT / "pyproject.toml", pathlib.Path(__file__)):
        digest.update(part.read_bytes())
    digest.update(f"{sys.version} {ROOT}".encode())
    return digest.hexdigest()


def _cache() -> pathlib.Path:
    own = os.environ.get("REDOUBT_CACHE")
    if own:
        return pathlib.Path(own).absolute()
    return (
        pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache").absolute()
        / "redoubt"
    )


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One bootstrap at a time in this checkout: `make demo` and `make test` may be started together."""
    place = _cache() / "locks" / ("bootstrap-" + hashlib.sha256(str(ROOT).encode()).hexdigest()[:16])
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with place.open("a") as file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("waiting for another bootstrap of this checkout")
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        yield


def _uv() -> str:
    """The path of uv, of the pinned version: by pip, with hashes, through a venv that is thrown away."""
    version = next(
        line.split("==")[1].split()[0] for line in UV_LOCK.read_text().splitlines() if line[:3] == "uv="
    )
    uv = _cache() / "bootstrap" / version / "uv"
    if uv.is_file():
        return str(uv)
    _say(f"getting uv {version} with pip")
    uv.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=str(uv.parent)) as scratch:
        _run(sys.executable, "-m", "venv", scratch)
        pip = (os.path.join(scratch, "bin", "python"), "-m", "pip")  # noqa: PTH118 - a string either way
        _run(
            *pip,
            "install",
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--require-hashes",
            "-r",
            str(UV_LOCK),
        )
        pathlib.Path(scratch, "bin", "uv").replace(uv)
    return str(uv)


def _make_venv(uv: str) -> None:
    """A .venv of this Python; one that another Python made, or that is broken, is made anew."""
    with contextlib.suppress(FileNotFoundError):
        STAMP.unlink()
    python = VENV / "bin" / "python"
    ask = "import sys; print(sys.version)"
    try:
        same = subprocess.check_output([str(python), "-c", ask]).decode().strip() == sys.version.strip()
    except (OSError, subprocess.CalledProcessError):
        same = False
    if not same:
        _run(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV))


def _run(*argv: str) -> None:
    try:
        subprocess.check_call(argv, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=1800)
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        _stop(f"this step failed: {error}. Check the network and the package index that pip uses.")


def _say(message: str) -> None:
    sys.stderr.write(f"bootstrap: {message}\n")


def _stop(message: str) -> NoReturn:
    _say(message)
    sys.exit(1)


if __name__ == "__main__":
    main()

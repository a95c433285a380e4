"""`make test` and `make test-chaos`: the outside programs first, then the tests, then the floors of coverage.

The tests see neither the user's own Redoubt settings nor the user's configuration folder, and leave nothing there.
Branch coverage counts what sub-processes run too.
"""

import argparse
import json
import os
import pathlib
import secrets
import subprocess
import sys
import tempfile
import time

from deploy.checks.finding import ROOT

FLOORS = {"rules and schemas": (("rules/", "schemas/"), 95.0), "everything": (("",), 80.0)}
"""Per cent of lines and branches that tests reach, at least, by the paths that count."""

_AT_ONCE = "3"
"""Processes that test, on two cores: much of what they do is waiting, for a dead worker to be missed say."""
_OWN_FOLDERS = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")
_SEED = "REDOUBT_CHAOS_SEED"
_KEPT = {"REDOUBT_CACHE", _SEED}


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.checks.tests")
    parser.add_argument("--chaos", action="store_true", help="the long tests, and 2,000 examples a property")
    chaos = parser.parse_args().chaos
    os.chdir(ROOT)
    began = time.monotonic()
    tools = subprocess.run(
        [sys.executable, "-m", "cli.main", "tools", "install", "--for", "test"], check=False
    )
    if tools.returncode:
        print("The tests that need what is missing will fail.", file=sys.stderr)
    passed = _pytest(chaos=chaos)
    enough = chaos or _covered()
    print(f"{'passed' if passed and enough else 'FAILED'} after {time.monotonic() - began:.0f} s")
    return 0 if passed and enough else 1


def _pytest(*, chaos: bool) -> bool:
    what = (
        ["-m", "chaos or hypothesis", "--timeout", "1800"]
        if chaos
        else ["-m", "not chaos", "--cov", "--cov-report="]
    )
    with tempfile.TemporaryDirectory(prefix="redoubt-home-") as home:
        environment = clean_environment(pathlib.Path(home))
        environment["HYPOTHESIS_PROFILE"] = "chaos" if chaos else "default"
        if chaos:
            print(f"{_SEED}={environment.setdefault(_SEED, secrets.token_hex(4))}", flush=True)
        argv = [sys.executable, "-m", "pytest", "-n", _AT_ONCE, "--dist", "worksteal", "-q", "-rs", *what]
        return subprocess.run(argv, check=False, env=environment).returncode == 0


def clean_environment(home: pathlib.Path) -> dict[str, str]:
    """The environment without the user's own settings of Redoubt, and with empty folders for the tests' own."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("REDOUBT_") or name in _KEPT
    }
    for name in _OWN_FOLDERS:
        folder = home / name.lower()
        folder.mkdir(mode=0o700)
        kept[name] = str(folder)
    return kept


def _covered() -> bool:
    measured = subprocess.run(
        [sys.executable, "-m", "coverage", "json", "-q", "-o", "-"], check=False, capture_output=True
    )
    if measured.returncode:
        print(f"No coverage was measured: {measured.stderr.decode(errors='replace').strip()}")
        return False
    files = {name: file["summary"] for name, file in json.loads(measured.stdout)["files"].items()}
    shares = {name: (share(files, prefixes), floor) for name, (prefixes, floor) in FLOORS.items()}
    for name, (reached, floor) in shares.items():
        print(f"coverage of {name}: {reached:.1f} % of lines and branches (at least {floor:.0f} %)")
    return all(reached >= floor for reached, floor in shares.values())


def share(files: dict[str, dict[str, float]], prefixes: tuple[str, ...]) -> float:
    """Per cent of the lines and branches of these files that were reached; 0 if there are none."""
    chosen = [summary for name, summary in files.items() if name.startswith(prefixes)]
    possible = sum(summary["num_statements"] + summary["num_branches"] for summary in chosen)
    reached = sum(summary["covered_lines"] + summary["covered_branches"] for summary in chosen)
    return 100.0 * reached / possible if possible else 0.0


if __name__ == "__main__":
    sys.exit(main())

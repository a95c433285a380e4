"""`make check`: every check runs, whatever the others say; the last lines tell which of them passed.

A check that can't be made (the source of advisories is out of reach) says NOT AUDITED and why. It never says
passed, and it does not fail the rest: a build must be possible without the network.
"""

import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable

from deploy.checks import audit, documents, hosts, secrets, sums
from deploy.checks.finding import Verdict

_BIN = pathlib.Path(sys.executable).parent


def _program(*argv: str) -> Callable[[], Verdict]:
    def check() -> Verdict:
        done = subprocess.run([_BIN / argv[0], *argv[1:]], check=False)
        return Verdict("passed" if done.returncode == 0 else "FAILED")

    return check


CHECKS: dict[str, Callable[[], Verdict]] = {
    "lint": _program("ruff", "check", "--quiet", "."),
    "format": _program("ruff", "format", "--quiet", "--check", "."),
    "types": _program("mypy"),
    "import floors": _program("lint-imports"),
    "secrets": secrets.check,
    "package hosts": hosts.check,
    "sums of the tool modules": sums.check,
    "generated documents": documents.check,
    "audit of the locked packages": audit.check,
}


def main() -> int:
    os.chdir(pathlib.Path(__file__).resolve().parents[2])
    verdicts: dict[str, Verdict] = {}
    for name, check in CHECKS.items():
        began = time.monotonic()
        print(f"== {name}", flush=True)
        verdicts[name] = check()
        for line in verdicts[name].findings:
            print(f"  {line}")
        print(f"   {verdicts[name].word} after {time.monotonic() - began:.1f} s", flush=True)
    print()
    for name, verdict in verdicts.items():
        print(f"{verdict.word:<12} {name}{verdict.why and f': {verdict.why}'}")
    return 1 if any(verdict.word == "FAILED" for verdict in verdicts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())

"""No package of the lock file has a known vulnerability.

Only a whole answer counts: if the source of advisories is out of reach, or knows nothing of a package, the verdict
is NOT AUDITED with the reason, never passed.
"""

import json
import pathlib
import subprocess
import sys
from typing import Any

from deploy.checks.finding import ROOT, Verdict

_TIMEOUT_S = 180
_ARGV = (
    "-r",
    "requirements.lock",
    "--require-hashes",
    "--disable-pip",
    "--progress-spinner",
    "off",
    "-f",
    "json",
)


def check() -> Verdict:
    program = pathlib.Path(sys.executable).parent / "pip-audit"
    try:
        done = subprocess.run(
            [program, *_ARGV], cwd=ROOT, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return Verdict("NOT AUDITED", why=f"no answer within {_TIMEOUT_S} s")
    return judge(done.stdout, done.stderr)


def judge(answer: str, errors: str) -> Verdict:
    """The verdict on what pip-audit printed."""
    try:
        packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    except (json.JSONDecodeError, KeyError, TypeError):
        last = errors.strip().splitlines()[-1:] or ["pip-audit said nothing"]
        return Verdict("NOT AUDITED", why=last[0][:300])
    found = [_line(package, hole) for package in packages for hole in package.get("vulns", ())]
    unknown = {package["name"]: package["skip_reason"] for package in packages if "skip_reason" in package}
    if found:
        return Verdict("FAILED", tuple(found))
    if unknown or not packages:
        reason = next(iter(unknown.values()), "pip-audit looked at nothing")
        return Verdict("NOT AUDITED", why=f"{len(unknown)} of {len(packages)} packages: {reason[:200]}")
    return Verdict("passed")


def _line(package: dict[str, Any], hole: dict[str, Any]) -> str:
    mended = ", ".join(hole["fix_versions"]) or "no version yet"
    return f"{package['name']} {package['version']}: {hole['id']}, mended in {mended}"

"""Documents that are generated from the code are as the code would write them today."""

import subprocess
import sys

from deploy.checks.finding import ROOT, Verdict, verdict

_GENERATED = {"docs/errors.md": ("docs", "errors")}


def check() -> Verdict:
    findings = []
    for name, argv in _GENERATED.items():
        made = subprocess.run(
            [sys.executable, "-m", "cli.main", *argv], cwd=ROOT, check=False, capture_output=True
        )
        document = ROOT / name
        if made.returncode:
            findings.append(
                f"`redoubt {' '.join(argv)}` failed: {made.stderr.decode(errors='replace').strip()}"
            )
        elif not document.is_file() or document.read_bytes() != made.stdout:
            findings.append(f"{name} is out of date: run `make docs` and commit it")
    return verdict(findings)

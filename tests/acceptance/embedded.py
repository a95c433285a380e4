"""The run's embedded stack, shared by the tests of what people see; each test has a subject to itself."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.dev import layout
from tests.acceptance.fleet import Ended


def redoubt(environment: Mapping[str, str], *words: str, given: str = "", within_s: float = 170) -> Ended:
    """Run the command to its end, as people do."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli.main", *words],
        input=given,
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
        env={**os.environ, **environment},
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@dataclass(frozen=True)
class Embedded:
    folder: Path
    web_ui: str

    def redoubt(self, *words: str, given: str = "") -> Ended:
        return redoubt(layout.environment(self.folder), *words, given=given)

    @contextmanager
    def alone(self, certificate: str) -> Iterator[None]:
        """One test at a time renews a certificate."""
        with (self.folder / f"{certificate}.alone").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def renew(self, certificate: str, reason: str) -> dict[str, Any]:
        """Renew it to the end; the run's row."""
        given = json.dumps({"certificate": certificate, "force": True, "reason": reason})
        words = ("start", "CertificateRenewal", "--input", "-", "--wait", "-o", "jsonl")
        ended = self.redoubt(*words, given=given)
        assert ended.code == 0, ended.err + ended.out
        row: dict[str, Any] = json.loads(ended.out.splitlines()[-1])
        return row

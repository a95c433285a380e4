"""What the claims share: renewals as a person starts and watches them, and what the servers show meanwhile."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from cli.demo.oracle import CaCounts, served
from cli.demo.proofs import Proof, Unproved, expect
from cli.dev import layout
from cli.dev.process import listening
from cli.dev.stack import Part, Stack

NAME = "www.example.com"


@dataclass
class Renewing:
    stack: Stack

    def _renew(self, proof: Proof, *, force: bool = True) -> None:
        code, ended = self._run(proof, force=force)
        if code:
            raise Unproved(f"the run failed: {ended}")

    def _run(self, proof: Proof, *, force: bool, certificate: str = "www") -> tuple[int, dict[str, Any]]:
        return self._watch(self._start(proof, force=force, certificate=certificate))

    def _start(self, proof: Proof, *, force: bool, certificate: str = "www") -> str:
        given = json.dumps({"certificate": certificate, "force": force, "reason": "demo"})
        ended = self._redoubt("start", "CertificateRenewal", "--input", "-", "-o", "json", given=given)
        expect(ended.returncode == 0, ended.stderr.strip())
        started = json.loads(ended.stdout)
        proof.link = started["link"]
        return str(started["workflow_id"])

    def _watch(self, workflow_id: str) -> tuple[int, dict[str, Any]]:
        ended = self._redoubt("watch", workflow_id, "-o", "json")
        return ended.returncode, json.loads(ended.stdout or "{}")

    def _redoubt(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "cli.main", *words]
        env = {**os.environ, **self.stack.environment}
        return subprocess.run(
            argv, input=given, capture_output=True, text=True, timeout=600, check=False, env=env
        )

    def _worker(self) -> Part:
        return self.stack.part("worker certificates")

    def _ports(self) -> tuple[int, ...]:
        return tuple(self.stack.sites[name].port for name in layout.WEB)

    def _shown(self) -> dict[str, str]:
        return {name: served(self.stack.sites[name].port, NAME, self.stack.roots) for name in layout.WEB}

    def _shown_or_not(self) -> dict[str, str]:
        try:
            return self._shown()
        except OSError:
            return {}

    def _serves(self, port: int, name: str) -> bool:
        try:
            return listening(port) and bool(served(port, name, self.stack.roots))
        except OSError:
            return False

    def _counted(self) -> CaCounts:
        """Of the CA that issues for the web servers."""
        if self.stack.with_acme:
            return CaCounts.read(self.stack.ca.log)
        return CaCounts.kept(self.stack.folder / layout.LOCAL_CA / "orders", NAME)

    def _link(self) -> str:
        ended = self._redoubt("schema", "CertificateRenewal", "--link")
        expect(ended.returncode == 0, ended.stderr.strip())
        return ended.stdout.strip().splitlines()[-1]

    def _page(self, workflow_id: str) -> str:
        ended = self._redoubt("list", "--subject", workflow_id.rpartition("/")[2], "-o", "json")
        runs = json.loads(ended.stdout or "[]")
        return str(
            next((run["link"] for run in runs if run["workflow_id"] == workflow_id and "link" in run), "")
        )


def short(shown: dict[str, str]) -> str:
    """The beginnings of the fingerprints, each once."""
    return ", ".join(sorted({fingerprint[:12] for fingerprint in shown.values()}))

"""Chapter `certificates`: renewed, undone, killed, started in the Web UI and by a Schedule, and evidenced."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cli.demo.oracle import CaCounts, Visitor, served
from cli.demo.proofs import Proof, Proofs, Unproved, expect, wait_for
from cli.dev import layout
from cli.dev.process import listening
from cli.dev.stack import Stack
from cli.output import say
from rules.points import MARKER, POINT

STARTED = "REDOUBT_DEMO_STARTED"
"""When `make demo` was called (seconds since the epoch)."""
NAME = "www.example.com"
KILL_AT = "order.finalized"
TOOLS = ("temporal", "pebble", "nginx")
HSM_TOOLS = ("softhsm2", "pkcs11-engine")
"""Without these the chapter is played with keys that the web servers make, and says so."""
BROWSER = "chromium"


@dataclass
class Certificates:
    stack: Stack
    proofs: Proofs
    browser: Callable[[], str]
    """Waits until the browser is there; returns why it isn't, or nothing."""

    def play(self) -> None:
        self.first()
        self.renewal()
        self.broken_target()
        self.killed_worker()
        self.web_ui()
        self.schedule()
        self.audit()

    # --- the claims -----------------------------------------------------------------------------------

    def first(self) -> None:
        claim = "A real ACME CA's certificate is on three web servers"
        with self.proofs.claim(f"{claim}, its key in the HSM" if self.stack.token else claim) as p:
            self._renew(p, force=False)
            shown = self._shown()
            if self.stack.token:
                expect(len(set(shown.values())) == 1, f"the servers differ: {shown}")
                files = list(self.stack.folder.glob("sites/web-*/tls/**/key.pem"))
                expect(not files, f"a private key lies in a file: {files}")
            p.seen = f"3 handshakes show {_short(shown)}; {_since_start()}"

    def renewal(self) -> None:
        with self.proofs.claim("It is renewed in waves, and no visitor is turned away") as p:
            before = self._shown()
            with Visitor(self._ports(), NAME) as visitor:
                self._renew(p)
            after = self._shown()
            expect(not set(before.values()) & set(after.values()), "the old certificate is still served")
            expect(not visitor.failed, f"{len(visitor.failed)} handshakes failed: {visitor.failed[:3]}")
            p.seen = f"{_short(before)} → {_short(after)}; {visitor.handshakes} handshakes, 0 failed"

    def broken_target(self) -> None:
        with self.proofs.claim("The third server does not take it: the whole fleet goes back") as p:
            before = self._shown()
            broken = self.stack.sites["web-3"].folder / "nginx.conf"
            good = broken.read_text("ascii")
            broken.write_text("this is no configuration;\n" + good, "ascii")
            try:
                _, ended = self._run(p, force=True)
            finally:
                broken.write_text(good, "ascii")
            expect(ended.get("state") == "FAILED", f"the run did not fail: {ended}")
            expect(self._shown() == before, f"not all are back: {self._shown()}")
            p.seen = f"{ended['error']['code']}; all three serve {_short(before)} again"

    def killed_worker(self) -> None:
        with self.proofs.claim(
            "The worker is killed in the middle of an order: it ends with one certificate a key"
        ) as p:
            before, shown = CaCounts.read(self.stack.ca.log), self._shown()
            marker = self.stack.folder / "killed-at"
            marker.unlink(missing_ok=True)
            self._worker().stop()
            doomed = self.stack.redoubt(
                "doomed worker", "workers", "run", "certificates", env={POINT: KILL_AT, MARKER: str(marker)}
            )
            # It stops itself at the point, and a stopped process heeds nothing else.
            doomed.orphaned_by = signal.SIGKILL
            doomed.start()
            try:
                started = self._start(p, force=True)
                wait_for(marker.exists, 120, f"the worker at {KILL_AT}")
            finally:
                doomed.kill()
                self._worker().start()
            code, ended = self._watch(started)
            expect(code == 0, f"the run failed: {ended}")
            counted = CaCounts.read(self.stack.ca.log) - before
            keys = len(set(shown.values()))
            expect(counted.certificates == keys == counted.finalizes, f"the CA counts {counted}")
            expect(
                not set(self._shown().values()) & set(shown.values()), "the old certificate is still served"
            )
            p.seen = (
                f"SIGKILL at {KILL_AT}; the CA counts {keys} for {keys} keys; {_short(self._shown())} served"
            )

    def web_ui(self) -> None:
        claim = "A person starts it from the Web UI's form, in a browser"
        missing = self.browser()
        if missing:
            self.proofs.skip(claim, missing)
            return
        with self.proofs.claim(claim) as p:
            from cli.demo.browser import start_in_web_ui  # noqa: PLC0415 - only with a browser

            before = self._shown()
            given = {"certificate": "www", "force": True, "reason": "from the Web UI"}
            picture = self.stack.folder / "web-ui.png"
            p.link = start_in_web_ui(self._link(), json.dumps(given), picture)
            wait_for(
                lambda: not set(before.values()) & set(self._shown_or_not().values()),
                120,
                "the new certificate",
            )
            p.seen = f"{_short(before)} → {_short(self._shown())}; picture: {picture}"

    def schedule(self) -> None:
        with self.proofs.claim("A Schedule finds what is due and renews it, with nobody asking") as p:
            port = self.stack.ports.shop
            self.stack.apply_schedules()
            wait_for(lambda: self._serves(port, "shop.example.com"), 120, "shop.example.com served")
            p.seen = f"shop.example.com is served on port {port}, its key made on the server"
            p.link = self._page("certificate-renewal/shop")

    def audit(self) -> None:
        with self.proofs.claim("The evidence log verifies") as p:
            ended = self._redoubt("audit", "verify", "-o", "json")
            expect(ended.returncode == 0, ended.stderr.strip() or ended.stdout.strip())
            found = json.loads(ended.stdout)
            p.seen = ", ".join(
                f"{key.replace('_', ' ')} {value}" for key, value in found.items() if isinstance(value, int)
            )

    # --- what the claims share ------------------------------------------------------------------------

    def _renew(self, proof: Proof, *, force: bool = True) -> None:
        code, ended = self._run(proof, force=force)
        if code:
            raise Unproved(f"the run failed: {ended}")

    def _run(self, proof: Proof, *, force: bool) -> tuple[int, dict[str, Any]]:
        return self._watch(self._start(proof, force=force))

    def _start(self, proof: Proof, *, force: bool) -> str:
        given = json.dumps({"certificate": "www", "force": force, "reason": "demo"})
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

    def _worker(self) -> Any:
        return self.stack.part("worker certificates")

    def _ports(self) -> tuple[int, ...]:
        return tuple(self.stack.sites[name].port for name in layout.WEB)

    def _shown(self) -> dict[str, str]:
        roots = self.stack.ca.trust_file
        return {name: served(self.stack.sites[name].port, NAME, roots) for name in layout.WEB}

    def _shown_or_not(self) -> dict[str, str]:
        try:
            return self._shown()
        except OSError:
            return {}

    def _serves(self, port: int, name: str) -> bool:
        try:
            return listening(port) and bool(served(port, name, self.stack.ca.trust_file))
        except OSError:
            return False

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


def chapter(proofs: Proofs, stack: Stack, browser: Callable[[], str]) -> None:
    """Play the chapter on this stack, and leave it running; nothing is played where it does not start."""
    began = len(proofs.rows)
    hsm = "an HSM, " if stack.with_hsm else ""
    with proofs.claim(f"Temporal, {hsm}a CA, four web servers and our workers are up") as p:
        stack.start(say, schedules=False)
        p.seen = f"{len(stack.parts)} processes on loopback; their state is in {stack.folder}"
        p.link = stack.links()["Temporal Web UI"]
    if proofs.rows[began].verdict == "PROVED":
        Certificates(stack, proofs, browser).play()


def _short(shown: dict[str, str]) -> str:
    return ", ".join(sorted({fingerprint[:12] for fingerprint in shown.values()}))


def _since_start() -> str:
    started = os.environ.get(STARTED)
    return (
        f"{time.time() - float(started):.0f} s after `make demo`" if started else "from a running environment"
    )

"""Chapter `certificates`: renewed, undone, killed, started in the Web UI and by a Schedule, and evidenced."""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cli.demo.governance import Governance
from cli.demo.issuers import Issuers
from cli.demo.oracle import CaCounts, Visitor
from cli.demo.proofs import Proofs, expect, wait_for
from cli.demo.renewing import NAME, Renewing, short
from cli.demo.vault import VaultPkiClaim
from cli.dev.stack import Stack
from cli.output import say
from rules.points import MARKER, POINT

STARTED = "REDOUBT_DEMO_STARTED"
"""When `make demo` was called (seconds since the epoch)."""
KILL_AT = "order.finalized"
TOOLS = ("temporal", "pebble", "nginx")
HSM_TOOLS = ("softhsm2", "pkcs11-engine")
"""Without these the chapter is played with keys that the web servers make, and says so."""
BROWSER = "chromium"


@dataclass
class Certificates(Renewing):
    browser: Callable[[], str]
    """Waits until the browser is there; returns why it isn't, or nothing."""

    def play(self) -> None:
        self.first()
        self.renewal()
        self.broken_target()
        self.killed_worker()
        self.web_ui()
        self.schedule()
        Issuers(self.stack, self.proofs).revoked()
        governance = Governance(self.stack, self.proofs)
        governance.approval()
        Issuers(self.stack, self.proofs).first_ca_down()
        governance.own_api()
        VaultPkiClaim(self.stack, self.proofs).play()
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
            p.seen = f"3 handshakes show {short(shown)}; {_since_start()}"

    def renewal(self) -> None:
        with self.proofs.claim("It is renewed in waves, and no visitor is turned away") as p:
            before = self._shown()
            with Visitor(self._ports(), NAME) as visitor:
                self._renew(p)
            after = self._shown()
            expect(not set(before.values()) & set(after.values()), "the old certificate is still served")
            expect(not visitor.failed, f"{len(visitor.failed)} handshakes failed: {visitor.failed[:3]}")
            p.seen = f"{short(before)} → {short(after)}; {visitor.handshakes} handshakes, 0 failed"

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
            p.seen = f"{ended['error']['code']}; all three serve {short(before)} again"

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
                f"SIGKILL at {KILL_AT}; the CA counts {keys} for {keys} keys; {short(self._shown())} served"
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
            p.seen = f"{short(before)} → {short(self._shown())}; picture: {picture}"

    def schedule(self) -> None:
        with self.proofs.claim("A Schedule finds what is due and renews it, with nobody asking") as p:
            port = self.stack.ports.shop
            self.stack.apply_schedules()
            wait_for(lambda: self._serves(port, "shop.example.com"), 120, "shop.example.com served")
            p.seen = f"shop.example.com is served on port {port}, its key made on the server"
            p.link = self._page("certificate-renewal/shop")

    def audit(self) -> None:
        with self.proofs.claim("The evidence log verifies") as p:
            wait_for(lambda: not self._verified()["waiting"], 30, "every row in the log")
            found = self._verified()
            expect(found["size"] > 0, "the log is empty")
            expect(found["open_steps_count"] == 0, f"steps without an outcome: {found['open_steps']}")
            p.seen = ", ".join(
                f"{key.replace('_', ' ')} {value}" for key, value in found.items() if isinstance(value, int)
            )

    def _verified(self) -> dict[str, Any]:
        ended = self._redoubt("audit", "verify", "-o", "json")
        expect(ended.returncode == 0, ended.stderr.strip() or ended.stdout.strip())
        found: dict[str, Any] = json.loads(ended.stdout)
        return found


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


def _since_start() -> str:
    started = os.environ.get(STARTED)
    return (
        f"{time.time() - float(started):.0f} s after `make demo`" if started else "from a running environment"
    )

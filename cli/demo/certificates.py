"""Chapter `certificates`: renewed, undone, killed, started in the Web UI and by a Schedule, and evidenced.

Without Pebble the local CA issues for the web servers, without an HSM each of them makes a key of its own, and without
nginx only our own API is renewed. What needs what is missing is SKIPPED.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

from cli.demo.governance import Governance
from cli.demo.issuers import Issuers
from cli.demo.oracle import Visitor
from cli.demo.proofs import Claim, Proof, Proofs, expect, wait_for
from cli.demo.renewing import NAME, Renewing, short
from cli.demo.vault import VaultPki
from cli.dev.stack import ACME_TOOLS, HSM_TOOLS, WEB_TOOLS, Stack
from cli.output import say
from rules.points import MARKER, POINT

STARTED = "REDOUBT_DEMO_STARTED"
"""When `make demo` was called (seconds since the epoch)."""
KILL_AT = "order.finalized"
NEEDED = "temporal"
"""Without it the chapter is not played."""
TOOLS = (NEEDED, "softhsm2", "pebble", "nginx", "pkcs11-engine")
BROWSER = "chromium"
VAULT = "vault"


class Certificates(Renewing):
    def first(self, p: Proof) -> None:
        self._renew(p, force=False)
        shown = self._shown()
        if self.stack.token:
            expect(len(set(shown.values())) == 1, f"the servers differ: {shown}")
            files = list(self.stack.folder.glob("sites/web-*/tls/**/key.pem"))
            expect(not files, f"a private key lies in a file: {files}")
        p.seen = f"3 handshakes show {short(shown)}; {_since_start()}"

    def renewal(self, p: Proof) -> None:
        before = self._shown()
        with Visitor(self._ports(), NAME) as visitor:
            self._renew(p)
        after = self._shown()
        expect(not set(before.values()) & set(after.values()), "the old certificate is still served")
        expect(not visitor.failed, f"{len(visitor.failed)} handshakes failed: {visitor.failed[:3]}")
        p.seen = f"{short(before)} → {short(after)}; {visitor.handshakes} handshakes, 0 failed"

    def broken_target(self, p: Proof) -> None:
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

    def killed_worker(self, p: Proof) -> None:
        before, shown = self._counted(), self._shown()
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
        counted = self._counted() - before
        keys = len(set(shown.values()))
        expect(counted.certificates == keys == counted.finalizes, f"the CA counts {counted}")
        expect(not set(self._shown().values()) & set(shown.values()), "the old certificate is still served")
        p.seen = f"SIGKILL at {KILL_AT}; the CA counts {keys} for {keys} keys; {short(self._shown())} served"

    def web_ui(self, p: Proof) -> None:
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

    def schedule(self, p: Proof) -> None:
        port = self.stack.ports.shop
        self.stack.apply_schedules()
        wait_for(lambda: self._serves(port, "shop.example.com"), 120, "shop.example.com served")
        p.seen = f"shop.example.com is served on port {port}, its key made on the server"
        p.link = self._page("certificate-renewal/shop")

    def audit(self, p: Proof) -> None:
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


def claims(stack: Stack) -> Iterator[Claim]:
    """In this order: each finds the fleet as the ones before have left it."""
    fleet, issuers, governance = Certificates(stack), Issuers(stack), Governance(stack)
    first = f"is on three web servers{', its key in the HSM' if stack.with_hsm else ''}"
    if not stack.with_hsm:
        yield Claim("The key of three web servers lies in an HSM", fleet.first, (*HSM_TOOLS, *WEB_TOOLS))
    yield Claim(f"A real ACME CA's certificate {first}", fleet.first, ACME_TOOLS)
    if not stack.with_acme:
        yield Claim(f"The local CA's certificate {first}", fleet.first, WEB_TOOLS)
    yield Claim("It is renewed in waves, and no visitor is turned away", fleet.renewal, WEB_TOOLS)
    yield Claim(
        "The third server does not take it: the whole fleet goes back", fleet.broken_target, WEB_TOOLS
    )
    yield Claim(
        "The worker is killed in the middle of an order: it ends with one certificate a key",
        fleet.killed_worker,
        WEB_TOOLS,
    )
    yield Claim(
        "A person starts it from the Web UI's form, in a browser", fleet.web_ui, (*WEB_TOOLS, BROWSER)
    )
    yield Claim("A Schedule finds what is due and renews it, with nobody asking", fleet.schedule, WEB_TOOLS)
    yield Claim(
        "A certificate is revoked at the CA: the sweep notices, and replaces it", issuers.revoked, ACME_TOOLS
    )
    yield Claim(
        "It needs two of three signers: one is not enough, the second lets it renew",
        governance.approval,
        WEB_TOOLS,
    )
    yield Claim("The first CA is down: the second one issues", issuers.first_ca_down, ACME_TOOLS)
    yield Claim("Our own API, by mutual TLS, is renewed under load: no call fails", governance.own_api)
    yield Claim(
        "Vault's PKI signs for a service, by a log-in that was good once",
        VaultPki(stack).signs,
        (*WEB_TOOLS, VAULT),
    )
    yield Claim("The evidence log verifies", fleet.audit)


def chapter(proofs: Proofs, stack: Stack) -> None:
    """Play the chapter on this stack, and leave it running; nothing is played where it does not start."""
    began = len(proofs.rows)
    hsm, web = (("an HSM",) if stack.with_hsm else ()), (("four web servers",) if stack.with_web else ())
    with proofs.claim(f"{', '.join(('Temporal', *hsm, 'a CA', *web))} and our workers are up") as p:
        stack.start(say, schedules=False)
        p.seen = f"{len(stack.parts)} processes on loopback; their state is in {stack.folder}"
        p.link = stack.links()["Temporal Web UI"]
    if proofs.rows[began].verdict == "PROVED":
        proofs.play(claims(stack))


def _since_start() -> str:
    started = os.environ.get(STARTED)
    return (
        f"{time.time() - float(started):.0f} s after `make demo`" if started else "from a running environment"
    )

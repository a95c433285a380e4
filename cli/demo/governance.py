"""Claims about who may: two of three signers approve, and our own API knows its callers by their certificates."""

import json
from pathlib import Path
from typing import Any

from cli.demo.api_calls import ApiCaller, ApiVisitor
from cli.demo.proofs import Proof, expect, wait_for
from cli.demo.renewing import Renewing, short
from cli.dev import governed


class Governance(Renewing):
    def approval(self, p: Proof) -> None:
        self._govern()
        before, counted = self._shown(), self._counted()
        started = self._start(p, force=True)
        wait_for(lambda: self._waiting(started), 120, "a request for approval")
        self._approve(started, "anna")
        waiting = self._waiting(started)
        expect(waiting.get("approved_by") == ["anna"], f"after one approval it does not wait: {waiting}")
        expect(self._shown() == before, "another certificate is served, and one has approved")
        ordered = (self._counted() - counted).orders
        expect(not ordered, f"the CA has {ordered} orders more, and one has approved")
        granted = self._approve(started, "ben")
        expect(granted.get("state") == "granted", f"two have approved, and it is {granted}")
        code, ended = self._watch(started)
        expect(code == 0, f"the run failed: {ended}")
        after = self._shown()
        expect(not set(before.values()) & set(after.values()), "the old certificate is still served")
        p.seen = f"anna: still {short(before)}, no order at the CA; anna and ben: {short(after)}"

    def own_api(self, p: Proof) -> None:
        self._govern()
        if not self.stack.with_web:
            self.stack.apply_schedules()  # the sweep brings the API's first certificate, too
        caller = self._caller()
        wait_for(caller.answers, 180, "the API's first certificate")
        refused = caller.without_certificate()
        expect(refused, "the API has answered a client that shows no certificate")
        before = caller.shown()
        with ApiVisitor(caller) as visitor:
            started: dict[str, Any] = {}
            # The sweep's run that brought the first certificate may be at its last step.
            wait_for(lambda: started.update(caller.start("api")) or started, 120, "the renewal's start")
            p.link = started["link"]
            code, ended = self._watch(started["workflow_id"])
            expect(code == 0, f"the run failed: {ended}")
            wait_for(lambda: caller.shown() != before, 60, "the new certificate")
        expect(not visitor.failed, f"{len(visitor.failed)} calls failed: {visitor.failed[:3]}")
        p.seen = (
            f"{before[:12]} → {caller.shown()[:12]}; {visitor.calls} calls, each by a handshake, 0 failed"
        )

    def _govern(self) -> None:
        if not governed.is_governed(self.stack.folder):
            self.stack.govern()

    def _caller(self) -> ApiCaller:
        _, certificate, key = governed.client_files(self.stack.folder)
        return ApiCaller(self.stack.ports.api, governed.API_NAME, self.stack.local_root, certificate, key)

    def _waiting(self, workflow_id: str) -> dict[str, Any]:
        """What waits for approval under this ID, or nothing."""
        ended = self._redoubt("approvals", "list", "-o", "json")
        rows: list[dict[str, Any]] = json.loads(ended.stdout or "[]")
        return next((row for row in rows if row["workflow_id"] == workflow_id), {})

    def _approve(self, workflow_id: str, name: str) -> dict[str, Any]:
        key: Path = governed.key_file(self.stack.folder, name)
        ended = self._redoubt("approve", workflow_id, "--as", name, "--key", str(key), "--yes", "-o", "json")
        expect(ended.returncode == 0, ended.stderr.strip())
        tally: dict[str, Any] = json.loads(ended.stdout)
        return tally

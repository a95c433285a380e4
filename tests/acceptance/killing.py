"""Kills by the chain: one renewal whose worker is killed with SIGKILL at point after point, and what must hold then.

Each worker process of a chain stops itself at the next named point (`rules.points`) and is killed there, from
outside; what it had begun times out at the Temporal server and is tried again by the next worker. Chains go side by
side, since most of their time is that wait. What holds is asked of the web servers, the CA and the folders, and not
of the code that did it.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cli.demo.oracle import CaCounts
from cli.dev.process import Child
from tests.acceptance.fleet import Fleet, wait_until

WITHIN_S = 240.0
"""A dead worker's step is tried again after its missed heartbeat (10 s) and a pause that grows with each death."""


@dataclass
class Chain:
    fleet: Fleet
    points: Sequence[str]
    """In the order in which the renewal comes by; `NAME:2` is the second time in the life of one worker."""
    certificates: int = 1
    """How many keys, and so orders, the renewal has."""
    killed: list[str] = field(default_factory=list)

    def begin(self) -> None:
        self.shown = self.fleet.shown()
        self.issued = self.fleet.counts()
        self.fleet.worker(pools=("audit",), name="audit", ready=False)
        self.fleet.start()
        self._next()

    def advance(self) -> None:
        """Kill the worker if it has come to its point, and start the next one."""
        if self.fleet.marker.exists():
            self.doomed.kill()
            self.killed.append(self.points[len(self.killed)])
            assert set(self.fleet.shown()) >= set(self.shown), f"{self.killed}: a server refuses visitors"
            self._next()
            return
        assert self.doomed.running, f"{self.killed}: the worker ended: {self.doomed.last_words(20)}"
        assert time.monotonic() < self.deadline, f"{self.killed}: no worker came to the next of {self.points}"

    def _next(self) -> None:
        self.deadline = time.monotonic() + WITHIN_S
        if not self.over:
            point = self.points[len(self.killed)]
            self.doomed = self.fleet.worker(crash_at=point, name=f"doomed-{len(self.killed)}", ready=False)

    @property
    def over(self) -> bool:
        return len(self.killed) == len(self.points)

    def counted(self) -> CaCounts:
        """What this renewal alone had of the CA."""
        return self.fleet.counts() - self.issued

    def assert_whole(self, ended: dict[str, Any], *, orphans: int) -> None:
        """One certificate, served by all; no orders but those that were lost; nothing left behind; evidence."""
        counted = self.counted()
        wanted = CaCounts(self.certificates + orphans, self.certificates, self.certificates)
        assert counted == wanted, f"killed at {self.killed}, the CA counts {counted}"
        undone = ended["state"] == "FAILED"
        assert self.fleet.shown() == (self.shown if undone else ended["result"]["fingerprints"]), ended
        assert leftovers(self.fleet) == []
        assert verified(self.fleet)["open_steps"] == []


DESTROYING: dict[str, Any] = {"after_grace": {"destroy_keys": True}}
"""Settings of a certificate whose earlier keys are destroyed; a chain runs the sequencer for it."""


def kill_all_along(chains: Sequence[Chain]) -> list[dict[str, Any]]:
    """Begin the renewals, kill along every chain, let new workers finish; how the runs ended."""
    for chain in chains:
        chain.begin()
    while any(not chain.over for chain in chains):
        for chain in chains:
            if not chain.over:
                chain.advance()
        time.sleep(0.05)
    for chain in chains:
        chain.fleet.worker(ready=False)
    return [chain.fleet.watch() for chain in chains]


def issue_first(fleets: Sequence[Fleet]) -> None:
    """Give every target a certificate, so that there is something to lose."""
    workers: list[Child] = [fleet.worker(name="first", ready=False) for fleet in fleets]
    for fleet in fleets:
        fleet.start()
    for fleet, worker in zip(fleets, workers, strict=True):
        ended = fleet.watch()
        assert ended["state"] == "COMPLETED", ended
        worker.stop()


def leftovers(fleet: Fleet) -> list[Path]:
    """Drafts on the targets, and answers to challenges that nobody asks any more."""
    drafts = [
        path for site in fleet.sites.values() for path in site.target.rglob("*") if path.name.startswith(".")
    ]
    return drafts + list(Path(fleet.ca.webroot, ".well-known", "acme-challenge").glob("*"))


def verified(fleet: Fleet) -> dict[str, Any]:
    """What `redoubt audit verify` says once the sequencer has taken every row."""
    said: list[dict[str, Any]] = []

    def sequenced() -> bool:
        ended = fleet.redoubt("audit", "verify", "-o", "json")
        assert ended.code == 0, ended.out + ended.err
        said.append(json.loads(ended.out))
        return bool(said[-1]["waiting"] == 0)

    wait_until(sequenced, 30, "the sequencer")
    return said[-1]

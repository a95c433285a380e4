"""One renewal whose worker is killed at every named point of the order path; the CA's log tells how often it issued.

The worker stops itself at the point (`rules.points`) and is killed there with SIGKILL, from outside; the next worker
process gets the next point. An order whose URL was lost before it could be stored can't be found again by RFC 8555:
it stays without effect, and is counted as an orphan.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

from benchmarks import processes
from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.platform.embedded import client_of, embedded_stack, fingerprints, start_renewal, wait_for
from benchmarks.samples import Samples
from cli.demo.oracle import CaCounts
from cli.dev.process import Child
from cli.dev.stack import Stack
from rules.points import MARKER, POINT

ORDER_PATH: Final = (
    "key.generating",
    "key.generated",
    "key.made",
    # The first intent that the next worker comes by is the key's again; the second is the order's.
    "journal.begun:2",
    "order.placed",
    "journal.finished",
    "order.stored",
    "challenge.published",
    "challenge.answered",
    "order.finalized",
    "certificate.downloaded",
)
"""In the order in which a renewal comes by them."""
REACHED_WITHIN_S: Final = 90.0
"""A dead worker is noticed when its heartbeat is missing for ten seconds, and the step is tried again after a pause."""


def measure(say: Say) -> Measured:
    with embedded_stack(say) as stack:
        stack.part("worker certificates").stop()
        return asyncio.run(_killed(stack, say))


async def _killed(stack: Stack, say: Say) -> Measured:
    client, done = await client_of(stack), Samples()
    before = CaCounts.read(stack.ca.log)
    run = await start_renewal(client)
    for point in ORDER_PATH:
        took = await asyncio.to_thread(_kill_at, stack, point)
        done.seconds.append(took)
        done.elapsed += took
        say(f"  killed at {point}, {took:.1f} s after the worker's start")
    worker = _worker(stack)
    worker.start()
    try:
        ended = await run.result()
        peak = processes.peak_mib(worker.pid)
    finally:
        worker.stop()
    counted = CaCounts.read(stack.ca.log) - before
    shown = await asyncio.to_thread(fingerprints, stack)
    if shown != set(ended.fingerprints.values()):
        done.errors += 1
        say("  not every server shows what the run says")
    say(f"  the CA counts {counted}")
    return Measured(
        values={
            "certificates_after_kills": counted.certificates,
            "finalizes_after_kills": counted.finalizes,
            "orphan_orders": counted.orders - counted.finalizes,
            "kills": len(ORDER_PATH),
        },
        samples=done,
        peak_rss_mib=peak,
    )


def _kill_at(stack: Stack, point: str) -> float:
    """Let a worker come to the point, and kill it there; returns how long it took to come there."""
    marker = Path(stack.folder / "killed-at")
    marker.unlink(missing_ok=True)
    doomed = _worker(stack, {POINT: point, MARKER: str(marker)})
    began = time.perf_counter()
    doomed.start()
    try:
        wait_for(marker.exists, REACHED_WITHIN_S, f"a worker at {point}", every_s=0.05)
        return time.perf_counter() - began
    finally:
        doomed.kill()


def _worker(stack: Stack, env: dict[str, str] | None = None) -> Child:
    return stack.redoubt("measured worker", "workers", "run", "certificates", env=env)


PART = Part(
    name="kills",
    operation="from a worker's start to the point at which it is killed; what the last one had begun times out first",
    figures=(
        Figure("certificates_after_kills", "counted at the CA, after one renewal", bar=Bar("exactly", 1)),
        Figure("finalizes_after_kills", "counted at the CA, after one renewal", bar=Bar("exactly", 1)),
        Figure("orphan_orders", "orders whose URL was lost before it could be stored"),
        Figure("kills", "points at which the worker was killed, in that one renewal"),
    ),
    measure=measure,
)

"""How long a worker takes from its process's start to /readyz, and how much memory it holds then."""

import statistics
import time
from typing import Final

from benchmarks import processes
from benchmarks.figures import Figure, Measured, Part, Say
from benchmarks.platform.embedded import embedded_stack, ready, wait_for
from benchmarks.samples import Samples
from cli.dev.stack import Stack

STARTS: Final = 5


def measure(say: Say) -> Measured:
    starts, resident = Samples(), []
    with embedded_stack(say) as stack:
        stack.part("worker certificates").stop()
        for _ in range(STARTS):
            took, rss = _start(stack)
            starts.seconds.append(took)
            starts.elapsed += took
            resident.append(rss)
    say(f"  {STARTS} starts")
    return Measured(
        values={
            "worker_start_s": round(statistics.median(starts.seconds), 3),
            "worker_rss_mib": statistics.median(resident),
        },
        samples=starts,
        peak_rss_mib=max(resident),
    )


def _start(stack: Stack) -> tuple[float, float]:
    """Seconds until it is ready, and the most memory that it has held by then."""
    worker = stack.redoubt("measured worker", "workers", "run", "certificates")
    began = time.perf_counter()
    worker.start()
    try:
        wait_for(lambda: ready(stack.ports.certificates_health), 60, "a worker that is ready")
        return time.perf_counter() - began, processes.peak_mib(worker.pid)
    finally:
        worker.stop()


PART = Part(
    name="worker",
    operation="a start of the pool `certificates`, from the process's start to /readyz",
    figures=(
        Figure("worker_start_s", "from the process's start until /readyz says 200", unit="s"),
        Figure("worker_rss_mib", "most memory that a worker has held when it is ready", unit="MiB"),
    ),
    measure=measure,
)

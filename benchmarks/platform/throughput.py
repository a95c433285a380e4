"""Workflows a second through our plugin over the bare SDK, on one dev server that syncs each commit to a file.

What the interceptors cost is told in CPU time, of client, worker and server together: at full load that is what a
workflow a second costs, and it holds still where the elapsed time of two batches differs by a tenth by itself.
"""

import asyncio
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks import processes, samples
from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.platform.variants import Batch, variants
from benchmarks.samples import Samples
from cli.dev.process import free_port
from cli.dev.servers import TemporalServer, start_temporal, temporal

ROUNDS: Final = 80
"""Two batches of the same code differ by a tenth in the server's CPU time (its collector, its checkpoints): the median
of so many ratios holds still to about one per cent."""
FEWEST: Final = 12
LONGEST_S: Final = 240.0
"""On a busy machine it stops after this time, with at least so many rounds."""
BATCH: Final = 24
WARM_UP: Final = 2

Rounds = dict[str, list[Batch]]


def measure(say: Say) -> Measured:
    with tempfile.TemporaryDirectory(prefix="redoubt-bench-") as made:
        folder = Path(made)
        server = temporal(folder, free_port(), free_port())
        start_temporal(server)
        try:
            rounds = asyncio.run(_rounds(server, folder, say))
        finally:
            server.child.stop()
    return judged(rounds)


async def _rounds(server: TemporalServer, folder: Path, say: Say) -> Rounds:
    async with variants(server, folder) as all_of_them:
        rounds: Rounds = {name: [] for name in all_of_them}
        turns = samples.turns(list(all_of_them), WARM_UP + ROUNDS)
        ends = time.monotonic() + LONGEST_S
        for number, turn in enumerate(turns, 1 - WARM_UP):
            for name in turn:
                batch = await all_of_them[name].run(BATCH)
                if number > 0:
                    rounds[name].append(batch)
            if number > 0 and number % 10 == 0:
                say(f"  {number} of {ROUNDS} rounds, {BATCH} workflows a variant each")
            if number >= FEWEST and time.monotonic() > ends:
                say(f"  the machine is busy: {number} rounds have to do")
                break
    return rounds


def judged(rounds: Rounds) -> Measured:
    """The rounds' figures; each ratio compares what ran in the same round."""
    rate = {name: [one.samples.per_second for one in batches] for name, batches in rounds.items()}
    cpu = {name: [one.cpu_s + one.server_cpu_s for one in batches] for name, batches in rounds.items()}
    ours = Samples()
    for batch in rounds["ours"]:
        ours.add(batch.samples)
    codec_s = sum(batch.codec_s for batch in rounds["ours"])
    payloads = sum(batch.payloads for batch in rounds["ours"])
    values = {
        "actions_ratio_bare": round(samples.ratio(rate["ours"], rate["bare"]), 3),
        "correlation_overhead": round(samples.ratio(cpu["ours"], cpu["uncorrelated"]) - 1, 3),
        "codec_share": round(codec_s / ours.elapsed, 4),
    }
    aside = {
        "rounds": len(rounds["ours"]),
        **_quartiles("actions_ratio_bare", samples.spread(rate["ours"], rate["bare"])),
        **_quartiles("correlation_overhead", samples.spread(cpu["ours"], cpu["uncorrelated"]), less=1),
        "correlation_overhead_elapsed": round(samples.ratio(rate["uncorrelated"], rate["ours"]) - 1, 3),
        **{f"{name}_per_s": round(statistics.median(rates), 1) for name, rates in rate.items()},
        **{f"{name}_cpu_ms": _ms([one.cpu_s for one in batches]) for name, batches in rounds.items()},
        **{
            f"{name}_server_ms": _ms([one.server_cpu_s for one in batches])
            for name, batches in rounds.items()
        },
        "codec_us_per_payload": round(1e6 * codec_s / max(1, payloads), 1),
        "payloads_per_workflow": round(payloads / max(1, len(ours.seconds)), 1),
    }
    ours.errors = sum(one.samples.errors for batches in rounds.values() for one in batches)
    return Measured(values, ours, processes.peak_mib(), aside)


def _quartiles(key: str, found: tuple[float, float], *, less: float = 0) -> dict[str, float]:
    low, high = found
    return {f"{key}_p25": round(low - less, 3), f"{key}_p75": round(high - less, 3)}


def _ms(seconds: list[float]) -> float:
    """A workflow's part of a batch."""
    return round(1000 * statistics.median(seconds) / BATCH, 2)


PART = Part(
    name="throughput",
    operation="a workflow of one activity through our plugin, 16 at once, from start to result",
    figures=(
        Figure(
            "actions_ratio_bare",
            "workflows a second through our plugin over the bare SDK",
            bar=Bar("at least", 0.9),
        ),
        Figure(
            "correlation_overhead",
            "CPU time of client, worker and server that a workflow takes more with the interceptors",
            bar=Bar("at most", 0.05),
        ),
        Figure(
            "codec_share",
            "share of the time at full load that client and worker spend in encryption",
            bar=Bar("at most", 0.02),
        ),
    ),
    measure=measure,
)

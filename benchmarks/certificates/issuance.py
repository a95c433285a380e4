"""Certificates a minute: ours, certbot's and a bare loop's, of one Pebble, in one run; and how it grows.

Ours is a sweep that finds every certificate due: each is planned, journalled, ordered, checked, staged, switched and
verified by handshake, and each step is in the evidence. certbot renews its certificates in one process, one after the
other, as `certbot renew` does. The loop is the `acme` library with 32 threads, which keeps nothing.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from temporalio.client import Client, WorkflowExecutionStatus

from benchmarks import processes
from benchmarks.certificates import certbot
from benchmarks.certificates.house import House, certificate_authority, house
from benchmarks.certificates.stalls import IssuanceWatch, with_a_ca_that_issues
from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.samples import Samples
from cli.demo.oracle import CaCounts
from cli.dev.servers import Pebble
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import CertificateSweepInput, CertificateSweepResult
from schemas.errors import DependencyUnavailable

RENEWALS: Final = 200
THREADS: Final = 32
SIZES: Final = (10, 100, 1000)
AT_ONCE: Final = 32
_LOOK_S: Final = 0.1


def compared(say: Say) -> Measured:
    found, stalls = with_a_ca_that_issues(partial(_compared, say), say)
    return replace(found, aside={**found.aside, "cas_that_stalled": stalls})


def _compared(say: Say) -> Measured:
    """Certbot comes last: it asks one question at a time, which stalls no CA, and takes minutes."""
    with (
        tempfile.TemporaryDirectory(prefix="redoubt-bench-") as made,
        certificate_authority(Path(made)) as ca,
    ):
        loop = RENEWALS / _acme_loop(ca)
        say(f"  the bare loop: {60 * loop:.0f} a minute")
        with house(RENEWALS, ca, say) as ours:
            found = asyncio.run(_swept(ours, RENEWALS, say))
        peer = RENEWALS / certbot.renewed(ca, Path(made) / "certbot", RENEWALS, partial(_said, ca))
        say(f"  certbot: {60 * peer:.0f} a minute")
    rate = found.samples.per_second
    values = {
        "ratio_certbot": round(rate / peer, 2),
        "ratio_acme_loop": round(rate / loop, 3),
        "events_per_certificate": found.values["events_per_certificate"],
    }
    aside = {
        "ours_per_minute": round(60 * rate, 1),
        "certbot_per_minute": round(60 * peer, 1),
        "acme_loop_per_minute": round(60 * loop, 1),
    }
    return Measured(values, found.samples, found.peak_rss_mib, aside)


def growth(size: int, say: Say) -> Measured:
    found, stalls = with_a_ca_that_issues(partial(_grown, size, say), say)
    rate = {f"per_minute_{size}": round(60 * found.samples.per_second, 1)}
    return Measured(rate, found.samples, found.peak_rss_mib, {**found.values, "cas_that_stalled": stalls})


def _grown(size: int, say: Say) -> Measured:
    with (
        tempfile.TemporaryDirectory(prefix="redoubt-bench-") as made,
        certificate_authority(Path(made)) as ca,
        house(size, ca, say) as ours,
    ):
        return asyncio.run(_swept(ours, size, say))


async def _swept(ours: House, count: int, say: Say) -> Measured:
    """Sweep until nothing is due; what the CA counts must be the number of certificates."""
    client, before, watch = await ours.client(), CaCounts.read(ours.ca.log), IssuanceWatch(ours.ca.log)
    began = time.perf_counter()
    renewed: list[str] = []
    while len(renewed) < count:
        result = await _sweep(client, watch)
        if not result.renewed:
            raise DependencyUnavailable(f"A sweep renewed nothing: {result}.")
        renewed.extend(result.renewed)
        say(f"  {len(renewed)} of {count} after {time.perf_counter() - began:.0f} s")
    elapsed = time.perf_counter() - began
    counted = CaCounts.read(ours.ca.log) - before
    took, events = await _histories(client, renewed)
    samples = Samples(took, elapsed, abs(counted.certificates - count))
    peak = max(processes.peak_mib(worker.pid) for worker in ours.workers)
    return Measured({"events_per_certificate": round(events / len(renewed), 1)}, samples, peak)


async def _sweep(client: Client, watch: IssuanceWatch) -> CertificateSweepResult:
    kind, given = WORKFLOW_TYPES["CertificateSweep"], CertificateSweepInput(max_concurrent=AT_ONCE)
    run = await client.start_workflow(
        kind.name,
        given,
        id=kind.workflow_id(given),
        task_queue=kind.capability,
        result_type=CertificateSweepResult,
    )
    # A wait for the result that is given up leaves the SDK's client hanging at its end.
    while (await run.describe()).status is WorkflowExecutionStatus.RUNNING:
        watch.check()
        await asyncio.sleep(_LOOK_S)
    result: CertificateSweepResult = await run.result()
    return result


async def _histories(client: Client, names: list[str]) -> tuple[list[float], int]:
    """Seconds from start to end of each renewal, and how many events they have together."""
    took, events = [], 0
    for name in names:
        seen = await client.get_workflow_handle(f"certificate-renewal/{name}").describe()
        if seen.close_time is not None:
            took.append((seen.close_time - seen.start_time).total_seconds())
        events += seen.history_length
    return took, events


def _acme_loop(ca: Pebble) -> float:
    argv = [sys.executable, "-m", "benchmarks.certificates.acme_loop", ca.directory, str(ca.webroot)]
    return float(_said(ca, [*argv, str(RENEWALS), str(THREADS)]))


def _said(ca: Pebble, argv: list[str]) -> str:
    """What a program has printed at its end; it is killed where the CA stalls."""
    watch = IssuanceWatch(ca.log)
    env = {**os.environ, "REQUESTS_CA_BUNDLE": str(ca.ca_file)}
    with (
        tempfile.TemporaryFile("w+") as printed,
        tempfile.TemporaryFile("w+") as complained,
        subprocess.Popen(argv, stdout=printed, stderr=complained, env=env) as program,
    ):
        try:
            while program.poll() is None:
                watch.check()
                time.sleep(_LOOK_S)
        except BaseException:
            program.kill()
            raise
        printed.seek(0)
        complained.seek(0)
        if program.returncode:
            raise RuntimeError(f"{argv[0]} failed: {complained.read().strip()[-500:]}")
        return printed.read().strip()


COMPARED = Part(
    name="issuance",
    operation="a renewal in a sweep of 200, from its start to its end",
    figures=(
        Figure(
            "ratio_certbot", "certificates a minute over certbot's, of the same CA", bar=Bar("at least", 10)
        ),
        Figure(
            "ratio_acme_loop",
            "certificates a minute over a bare loop of the acme library with 32 threads",
            bar=Bar("at least", 0.3),
        ),
        Figure("events_per_certificate", "events in the history of a renewal"),
    ),
    measure=compared,
)

GROWTH = tuple(
    Part(
        name=f"growth_{size}",
        operation=f"a renewal where {size} are due at once, from its start to its end",
        figures=(Figure(f"per_minute_{size}", f"certificates a minute, where {size} are due at once"),),
        measure=partial(growth, size),
    )
    for size in SIZES
)

"""Certificates a minute: ours, certbot's and a bare loop's, of one Pebble, in one run; and how it grows.

Ours is a sweep that finds every certificate due: each is planned, journalled, ordered, checked, staged, switched and
verified by handshake, and each step is in the evidence. certbot renews its certificates in one process, one after the
other, as `certbot renew` does. The loop is the `acme` library with 32 threads, which keeps nothing.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from temporalio.client import Client

from benchmarks import processes
from benchmarks.certificates.house import House, certificate_authority, house
from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.samples import Samples
from cli.demo.oracle import CaCounts
from cli.dev.servers import Pebble
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import CertificateSweepInput, CertificateSweepResult
from schemas.errors import DependencyUnavailable

RENEWALS: Final = 200
CERTBOT: Final = 20
"""One after the other, their rate does not depend on their number."""
THREADS: Final = 32
SIZES: Final = (10, 100, 1000)
AT_ONCE: Final = 32


def compared(say: Say) -> Measured:
    with (
        tempfile.TemporaryDirectory(prefix="redoubt-bench-") as made,
        certificate_authority(Path(made)) as ca,
    ):
        loop = RENEWALS / _acme_loop(ca)
        say(f"  the bare loop: {60 * loop:.0f} a minute")
        certbot = CERTBOT / _certbot(ca, Path(made) / "certbot")
        say(f"  certbot: {60 * certbot:.0f} a minute")
        with house(RENEWALS, ca, say) as ours:
            found = asyncio.run(_swept(ours, RENEWALS, say))
    rate = found.samples.per_second
    values = {
        "ratio_certbot": round(rate / certbot, 2),
        "ratio_acme_loop": round(rate / loop, 3),
        "events_per_certificate": found.values["events_per_certificate"],
    }
    aside = {
        "ours_per_minute": round(60 * rate, 1),
        "certbot_per_minute": round(60 * certbot, 1),
        "acme_loop_per_minute": round(60 * loop, 1),
    }
    return Measured(values, found.samples, found.peak_rss_mib, aside)


def growth(say: Say) -> Measured:
    values: dict[str, float] = {}
    samples, peak = Samples(), 0.0
    for size in SIZES:
        with (
            tempfile.TemporaryDirectory(prefix="redoubt-bench-") as made,
            certificate_authority(Path(made)) as ca,
            house(size, ca, say) as ours,
        ):
            found = asyncio.run(_swept(ours, size, say))
        values[f"per_minute_{size}"] = round(60 * found.samples.per_second, 1)
        samples.add(found.samples)
        peak = max(peak, found.peak_rss_mib)
    return Measured(values, samples, peak)


async def _swept(ours: House, count: int, say: Say) -> Measured:
    """Sweep until nothing is due; what the CA counts must be the number of certificates."""
    client, before = await ours.client(), CaCounts.read(ours.ca.log)
    began = time.perf_counter()
    renewed: list[str] = []
    while len(renewed) < count:
        result = await _sweep(client)
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


async def _sweep(client: Client) -> CertificateSweepResult:
    kind, given = WORKFLOW_TYPES["CertificateSweep"], CertificateSweepInput(max_concurrent=AT_ONCE)
    run = await client.start_workflow(
        kind.name,
        given,
        id=kind.workflow_id(given),
        task_queue=kind.capability,
        result_type=CertificateSweepResult,
    )
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
    return float(_said([*argv, str(RENEWALS), str(THREADS)], ca))


def _certbot(ca: Pebble, folder: Path) -> float:
    program = Path(sys.executable).with_name("certbot")
    if shutil.which(program) is None:
        raise DependencyUnavailable("certbot is not installed: it comes with the extra `dev`.")
    where = [word for kind in ("config", "work", "logs") for word in (f"--{kind}-dir", str(folder / kind))]
    common = [str(program), "--non-interactive", "--quiet", *where, "--server", ca.directory]
    for number in range(CERTBOT):
        words = ["certonly", "--webroot", "--webroot-path", str(ca.webroot), "--agree-tos"]
        words += ["--register-unsafely-without-email", "--domain", f"b{number}.bench.example.com"]
        _said([*common, *words], ca)
    began = time.perf_counter()
    _said([*common, "renew", "--force-renewal", "--no-random-sleep-on-renew"], ca)
    return time.perf_counter() - began


def _said(argv: list[str], ca: Pebble) -> str:
    env: Mapping[str, str] = {**os.environ, "REQUESTS_CA_BUNDLE": str(ca.ca_file)}
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=1200, check=False, env=env)
    if ended.returncode:
        raise RuntimeError(f"{argv[0]} failed: {ended.stderr.strip()[-500:]}")
    return ended.stdout.strip()


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

GROWTH = Part(
    name="growth",
    operation="a renewal in sweeps of 10, 100 and 1,000, from its start to its end",
    figures=tuple(
        Figure(f"per_minute_{size}", f"certificates a minute, where {size} are due at once") for size in SIZES
    ),
    measure=growth,
)

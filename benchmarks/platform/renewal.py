"""Visitors of a fleet whose certificate is renewed well, then badly and undone: nobody may be turned away.

A client shakes hands 50 times a second with three web servers in turn, from before the first renewal until after the
last. In the bad one the third server does not take the new certificate: all go back, which is looked at from outside.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from temporalio.client import Client, WorkflowFailureError

from benchmarks import processes
from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.platform.embedded import (
    NAME,
    client_of,
    embedded_stack,
    fingerprints,
    start_renewal,
    web_ports,
)
from benchmarks.samples import Samples
from cli.demo.oracle import Visitor
from cli.dev.stack import Stack

GOOD: Final = 6


def measure(say: Say) -> Measured:
    with embedded_stack(say) as stack:
        seen = asyncio.run(visited(stack, GOOD, say))
    made = seen.rotation.handshakes + seen.rollback.handshakes
    return Measured(
        values={
            "failed_handshakes": len(seen.rotation.failed) + len(seen.rollback.failed),
            "handshakes": made,
        },
        samples=seen.samples,
        peak_rss_mib=seen.peak_rss_mib,
        aside={"handshakes_per_s": round(made / seen.visited_s, 1)},
    )


@dataclass(frozen=True)
class Visited:
    rotation: Visitor
    rollback: Visitor
    visited_s: float
    samples: Samples
    peak_rss_mib: float


async def visited(stack: Stack, rotations: int, say: Say) -> Visited:
    """Visitors through good renewals, and through a bad one and its undo."""
    client, done = await client_of(stack), Samples()
    # The first one begins without a certificate: until then the servers turn everybody away.
    await renew(client)
    began = time.perf_counter()
    with Visitor(web_ports(stack), NAME) as rotation:
        for _ in range(rotations):
            await good(stack, client, done, say)
    with Visitor(web_ports(stack), NAME) as rollback:
        await bad(stack, client, done, say)
    took = time.perf_counter() - began
    worker = stack.part("worker certificates").child
    assert worker is not None
    for words in (*rotation.failed, *rollback.failed)[:5]:
        say(f"  a handshake failed: {words}")
    return Visited(rotation, rollback, took, done, processes.peak_mib(worker.pid))


async def renew(client: Client) -> float:
    began = time.perf_counter()
    await (await start_renewal(client)).result()
    return time.perf_counter() - began


async def good(stack: Stack, client: Client, done: Samples, say: Say) -> None:
    before = await asyncio.to_thread(fingerprints, stack)
    took = await renew(client)
    after = await asyncio.to_thread(fingerprints, stack)
    done.elapsed += took
    if len(after) == 1 and not after & before:
        done.seconds.append(took)
    else:
        done.errors += 1
    say(f"  a good renewal in {took:.1f} s")


async def bad(stack: Stack, client: Client, done: Samples, say: Say) -> None:
    """An error if it does not fail, or if not every server is back on what it had."""
    before = await asyncio.to_thread(fingerprints, stack)
    broken = stack.sites["web-3"].folder / "nginx.conf"
    sound = broken.read_text("ascii")
    broken.write_text(f"this is no configuration;\n{sound}", "ascii")
    try:
        took = await renew(client)
        done.errors += 1
        say(f"  a renewal that had to fail ended well in {took:.1f} s")
    except WorkflowFailureError as failed:
        say(f"  a bad renewal was undone: {failed.cause}")
    finally:
        broken.write_text(sound, "ascii")
    if await asyncio.to_thread(fingerprints, stack) != before:
        done.errors += 1
        say("  not every server is back on the certificate that it had")


PART = Part(
    name="renewal",
    operation="a good renewal on three web servers, from its start to its result",
    figures=(
        Figure(
            "failed_handshakes",
            "of a client connecting 50 times a second through good renewals, a bad one and its undo",
            bar=Bar("exactly", 0),
        ),
        Figure("handshakes", "how many it made"),
    ),
    measure=measure,
)

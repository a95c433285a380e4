"""Visitors of a fleet whose certificate is renewed well, then badly and undone: nobody may be turned away.

A client shakes hands 50 times a second with three web servers in turn, from before the first renewal until after the
last. In the bad one the third server does not take the new certificate: all go back, which is looked at from outside.
"""

import asyncio
import time
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
        return asyncio.run(_visited(stack, say))


async def _visited(stack: Stack, say: Say) -> Measured:
    client, done = await client_of(stack), Samples()
    # The first one begins without a certificate: until then the servers turn everybody away.
    await renew(client)
    with Visitor(web_ports(stack), NAME) as visitor:
        began = time.perf_counter()
        for _ in range(GOOD):
            await good(stack, client, done, say)
        await bad(stack, client, done, say)
        visited_s = time.perf_counter() - began
    worker = stack.part("worker certificates").child
    assert worker is not None
    for words in visitor.failed[:5]:
        say(f"  a handshake failed: {words}")
    return Measured(
        values={"failed_handshakes": len(visitor.failed), "handshakes": visitor.handshakes},
        samples=done,
        peak_rss_mib=processes.peak_mib(worker.pid),
        aside={"handshakes_per_s": round(visitor.handshakes / visited_s, 1)},
    )


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

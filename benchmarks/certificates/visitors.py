"""Visitors of three web servers while a certificate is rotated, and while one is put back: none is turned away."""

import asyncio
from typing import Final

from benchmarks import processes
from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.platform.embedded import NAME, client_of, embedded_stack, web_ports
from benchmarks.platform.renewal import bad, good, renew
from benchmarks.samples import Samples
from cli.demo.oracle import Visitor
from cli.dev.stack import Stack

ROTATIONS: Final = 3


def measure(say: Say) -> Measured:
    with embedded_stack(say) as stack:
        return asyncio.run(_visited(stack, say))


async def _visited(stack: Stack, say: Say) -> Measured:
    client, done = await client_of(stack), Samples()
    # The first one begins without a certificate: until then the servers turn everybody away.
    await renew(client)
    with Visitor(web_ports(stack), NAME) as rotation:
        for _ in range(ROTATIONS):
            await good(stack, client, done, say)
    with Visitor(web_ports(stack), NAME) as rollback:
        await bad(stack, client, done, say)
    worker = stack.part("worker certificates").child
    assert worker is not None
    return Measured(
        values={
            "failed_handshakes_rotation": len(rotation.failed),
            "failed_handshakes_rollback": len(rollback.failed),
        },
        samples=done,
        peak_rss_mib=processes.peak_mib(worker.pid),
        aside={"handshakes_rotation": rotation.handshakes, "handshakes_rollback": rollback.handshakes},
    )


PART = Part(
    name="visitors",
    operation="a good renewal on three web servers, from its start to its result",
    figures=(
        Figure(
            "failed_handshakes_rotation",
            "of a client connecting 50 times a second through rotations",
            bar=Bar("exactly", 0),
        ),
        Figure(
            "failed_handshakes_rollback",
            "of the same client while a renewal fails and is put back",
            bar=Bar("exactly", 0),
        ),
    ),
    measure=measure,
)

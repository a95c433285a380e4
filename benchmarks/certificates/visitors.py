"""Visitors of three web servers while a certificate is rotated, and while one is put back: none is turned away."""

import asyncio
from typing import Final

from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.platform.embedded import embedded_stack
from benchmarks.platform.renewal import visited

ROTATIONS: Final = 3


def measure(say: Say) -> Measured:
    with embedded_stack(say) as stack:
        seen = asyncio.run(visited(stack, ROTATIONS, say))
    return Measured(
        values={
            "failed_handshakes_rotation": len(seen.rotation.failed),
            "failed_handshakes_rollback": len(seen.rollback.failed),
        },
        samples=seen.samples,
        peak_rss_mib=seen.peak_rss_mib,
        aside={
            "handshakes_rotation": seen.rotation.handshakes,
            "handshakes_rollback": seen.rollback.handshakes,
        },
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

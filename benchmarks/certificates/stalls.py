"""Notices that the CA issues nothing any more, and begins again with another one.

Pebble 2.10.1 locks up under many orders at once, about once in fifteen sweeps of 200: a writer waits inside
`FinalizeOrder` while readers hold the store's lock again. What was measured of it then says nothing of us or of the
peer, so it is thrown away, and how often that happened stands beside the figures.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from benchmarks.figures import Say
from cli.demo.oracle import CaCounts
from schemas.errors import DependencyUnavailable

T = TypeVar("T")

STILL_S: Final = 90.0
"""Longer than everything around an issuance: a look at 1,000 targets, an open breaker, the last one's verification."""
LOOK_EVERY_S: Final = 5.0
"""Reading the CA's log takes it time on the machine that is measured."""
TRIES: Final = 3


class CaStalledError(Exception):
    """The CA lives, is asked, and has issued nothing for `STILL_S`."""


class IssuanceWatch:
    """Reads in the CA's log whether certificates still come."""

    def __init__(self, log: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._log, self._clock = log, clock
        self._issued, self._changed = self._count(), clock()
        self._looked = self._changed

    def check(self) -> None:
        """To be called often; looks every `LOOK_EVERY_S`. Raises `CaStalledError`."""
        now = self._clock()
        if now - self._looked < LOOK_EVERY_S:
            return
        self._looked, issued = now, self._count()
        if issued != self._issued:
            self._issued, self._changed = issued, now
        elif now - self._changed > STILL_S:
            raise CaStalledError(
                f"the CA has issued nothing for {STILL_S:.0f} s, after {issued} certificates"
            )

    def _count(self) -> int:
        return CaCounts.read(self._log).certificates


def with_a_ca_that_issues(once: Callable[[], T], say: Say) -> tuple[T, int]:
    """What `once` gives, which begins with a CA of its own, and how many CAs had stalled before."""
    for stalls in range(TRIES):
        try:
            return once(), stalls
        except CaStalledError as stalled:
            say(f"  {stalled}: what was measured with it is thrown away, and another one is begun with")
    raise DependencyUnavailable(f"{TRIES} CAs one after the other stopped issuing.")

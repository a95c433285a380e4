"""The audit pool's duty: what was recorded moves into the signed log, and the spool into the records.

It is the only holder of the log's key. While the store is away it waits and tries again; when the evidence does
not verify it raises `EvidenceBroken`, and the process ends: nothing is signed on top of a log that is broken.
"""

import threading
from typing import Final

import structlog

from schemas.errors import DependencyUnavailable, EvidenceUnavailable
from workers.wiring import Wiring

_BATCH: Final = 1000

_log = structlog.get_logger("workers.sequencer")


def sequence(wiring: Wiring, stop: threading.Event) -> None:
    every = wiring.settings.evidence.sequence_every_s
    while not stop.is_set():
        try:
            moved = move(wiring)
        except (DependencyUnavailable, EvidenceUnavailable) as away:
            _log.warning("the evidence could not be sequenced now", code=away.code, detail=away.in_full)
            moved = 0
        if moved < _BATCH:
            stop.wait(every)


def move(wiring: Wiring) -> int:
    """Once through: the spool first, so that what it holds is in the same checkpoint."""
    replayed = wiring.replay_spool()
    if replayed:
        _log.info("what was recorded in the spool is in the records now", rows=replayed)
    moved = wiring.log().sequence(_BATCH)
    if moved:
        _log.info("evidence moved into the log", rows=moved)
    return moved

"""Refused decisions on their way into the evidence, bounded: whoever sends bad tokens can't fill the log.

- The first refusal of a requester from an address is recorded at once and whole. The others within `INTERVAL_S` are
  counted, and recorded together when it ends, or when the server stops: how many, for which acts, and the first
  subjects.
- A requester is who was verified, else nobody; an address is one of IPv4 or a network of IPv6 (`rules.connections`).
  Beyond `MOST` of them in an interval the others share one entry. So there are 2 x (MOST + 1) rows an interval.
- Counts that can't be recorded are kept for the next interval. A process that is killed loses those of one.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from rules.connections import origin_of
from schemas.errors import RedoubtError
from schemas.evidence import Entry

INTERVAL_S: Final = 60.0
MOST: Final = 64
_SUBJECTS: Final = 20
_ELSEWHERE: Final = ("anybody", "elsewhere")

_log = structlog.get_logger("api.refusals")
_Key = tuple[str, str]


@dataclass
class _Since:
    """What came after the refusal that was recorded, and the last of it."""

    last: Entry
    first_at: datetime
    acts: Counter[str] = field(default_factory=Counter)
    subjects: dict[str, None] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        self.last = entry
        self.acts[str(entry.facts["act"])] += 1
        if len(self.subjects) < _SUBJECTS:
            self.subjects[entry.subject] = None

    def entry(self, key: _Key) -> Entry:
        facts = {
            "from": key[1],
            "times": self.acts.total(),
            "acts": dict(self.acts),
            "subjects": list(self.subjects),
            "since": self.first_at.isoformat(),
            "why": self.last.facts["why"],
        }
        changes = {"operation": f"api-{uuid.uuid4()}", "step": "api/refused", "subject": "api", "who": key[0]}
        return self.last.model_copy(update={**changes, "at": datetime.now(UTC), "facts": facts})


class Refusals:
    """Used from one event loop."""

    def __init__(self, record: Callable[[Entry], None]) -> None:
        self._record = record
        self._since: dict[_Key, _Since] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._flush: asyncio.Task[None] | None = None

    async def note(self, entry: Entry, address: str) -> None:
        """Raises what `record` raises, for the first of its kind."""
        key = (entry.who, origin_of(address))
        if key not in self._since and len(self._since) >= MOST:
            key = _ELSEWHERE
        if key in self._since:
            self._since[key].add(entry)
            return
        self._since[key] = _Since(entry, entry.at)
        self._arm()
        try:
            await asyncio.to_thread(self._record, entry)
        except RedoubtError:
            self._since.pop(key, None)
            raise

    async def close(self) -> None:
        """Record what was counted."""
        if self._timer is not None:
            self._timer.cancel()
        if self._flush is not None:
            await self._flush
        await self._flushed()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL_S, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._flush = asyncio.create_task(self._flushed())

    async def _flushed(self) -> None:
        counted, self._since = self._since, {}
        for key, since in counted.items():
            if not since.acts:
                continue
            try:
                await asyncio.to_thread(self._record, since.entry(key))
            except RedoubtError as away:
                _log.warning("refusals could not be recorded", times=since.acts.total(), why=away.code)
                self._keep(key, since)

    def _keep(self, key: _Key, since: _Since) -> None:
        newer = self._since.get(key)
        if newer is not None:
            since.acts += newer.acts
            since.last = newer.last
        self._since[key] = since
        self._arm()

"""Identifiers that sort by the time at which they were made (UUIDv7, RFC 9562).

Within one process each is greater than the one before, also when the clock stands still or goes back: 42 bits
below the milliseconds count up from a random start, and 32 random bits tell processes apart.
"""

import secrets
import threading
import time
import uuid
from datetime import UTC, datetime

_COUNTER_BITS = 42
_TAIL_BITS = 32
_START_BITS = (
    _COUNTER_BITS - 1
)  # the counter starts in its lower half, so that it can't run over in a millisecond


def uuid7(milliseconds: int, counter: int, tail: int) -> uuid.UUID:
    """Lay the three parts out as RFC 9562 section 5.7 says, the counter in rand_a and the top of rand_b."""
    high, low = counter >> 30, counter & 0x3FFFFFFF
    value = (
        (milliseconds & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low << _TAIL_BITS | tail
    )
    return uuid.UUID(int=value)


class _Sequence:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._milliseconds = 0
        self._counter = 0

    def next(self, milliseconds: int) -> uuid.UUID:
        with self._lock:
            if milliseconds > self._milliseconds:
                self._milliseconds, self._counter = milliseconds, secrets.randbits(_START_BITS)
            else:
                self._counter += 1
            return uuid7(self._milliseconds, self._counter, secrets.randbits(_TAIL_BITS))


_sequence = _Sequence()


def operation_id() -> str:
    """A new operation's ID: a later operation's sorts later."""
    return str(_sequence.next(time.time_ns() // 1_000_000))


def made_at(operation: str) -> datetime:
    """When an operation was opened, by the clock of who has opened it."""
    return datetime.fromtimestamp((uuid.UUID(operation).int >> 80) / 1000, UTC)

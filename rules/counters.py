"""Clones of FIDO2 keys, told by how often a key says that it has signed (WebAuthn, section 6.1.1).

- A key counts up with each signature. Two signatures at one count are by two keys: one of them is a clone.
- Counts go the way of the times that stand in what was signed. So it does not matter in which order signatures
  arrive (a start may wait for a worker while the next is through), and yet a clone that lags behind is told.
- People's clocks differ: only times that are further apart than `SKEW` are compared. A policy's signature has no time.
- A key that never counts says 0 each time, which tells nothing; one that has counted does not say 0 again.
"""

from datetime import datetime
from typing import NamedTuple

from rules.requests import SKEW


class Counted(NamedTuple):
    """One signature of a key that counts."""

    key: str
    """Its fingerprint."""
    counter: int
    statement: str
    """SHA-256 of what was signed."""
    at: datetime | None
    """When, as what was signed says."""


class Neighbours(NamedTuple):
    """What is known of a key around one of its counts."""

    same: str | None = None
    """What was signed at this very count."""
    below: datetime | None = None
    """The latest time at a lower count."""
    above: datetime | None = None
    """The earliest time at a higher count."""
    has_counted: bool = False


def cloned(one: Counted, known: Neighbours) -> str:
    """Why it seems that there are two of this key; "" if it does not."""
    if one.counter == 0:
        return "it has counted before, and says now that it never signed" if known.has_counted else ""
    if known.same is not None:
        return "" if known.same == one.statement else "it has signed something else at the same count"
    if one.at is None:
        return ""
    if known.below is not None and known.below > one.at + SKEW:
        return "it had counted less at a later time"
    if known.above is not None and known.above < one.at - SKEW:
        return "it had counted more at an earlier time"
    return ""

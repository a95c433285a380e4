"""Waits until every authoritative name server of a zone answers with a record: a CA may ask any of them.

A name server that has several addresses counts as up to date when one of them answers with the record and none
without it: this machine may lack a way to the others. One that is stale, or silent, holds the CA's look up; a CA that
looked too early would void the order.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import dns.name

from clients.challenges.zones import Zones
from schemas.errors import ChallengeNotVisible

_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 4.0
_BEAT_S: Final = 1.0
_AT_ONCE: Final = 16


@dataclass(frozen=True)
class Wanted:
    zone: dns.name.Name
    owner: dns.name.Name
    matches: Callable[[str], bool]


def await_record(zones: Zones, wanted: Wanted, within_s: float, beat: Callable[[], None]) -> None:
    """Raises `ChallengeNotVisible`, naming the servers that are behind."""
    deadline, pause = time.monotonic() + within_s, _PAUSE_S
    beat()
    servers = zones.servers(wanted.zone)
    while behind := _behind(zones, servers, wanted):
        if time.monotonic() >= deadline:
            raise ChallengeNotVisible(
                f"{wanted.owner} has not the record that the CA looks for on {', '.join(behind)}, "
                f"after {within_s:.0f} s."
            )
        _rest(min(pause, max(0.0, deadline - time.monotonic())), beat)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def _behind(zones: Zones, servers: dict[str, tuple[str, ...]], wanted: Wanted) -> list[str]:
    """The name servers that don't show it yet. All are asked at once: a silent one costs its time only once."""
    addresses = sorted({address for those in servers.values() for address in those})
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        said = dict(
            zip(addresses, threads.map(lambda one: zones.texts(one, wanted.owner), addresses), strict=True)
        )
    return [name for name, those in servers.items() if not _shows([said[one] for one in those], wanted)]


def _shows(said: list[set[str] | None], wanted: Wanted) -> bool:
    answers = [any(map(wanted.matches, texts)) for texts in said if texts is not None]
    return bool(answers) and all(answers)


def _rest(seconds: float, beat: Callable[[], None]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        beat()
        time.sleep(min(left, _BEAT_S))
    beat()

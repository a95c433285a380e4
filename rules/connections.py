"""Which connections a listener holds, and which one makes way when it is full.

Invariants, in every order of what arrives, is answered and leaves:
- Never more than `most` at once, and never more than `most_an_origin` from one address (IPv6: one /64).
- Only one that waits for a whole request makes way, and it is the one that has waited longest: of the same origin
  where that has all that it may have, else of all. One whose request is answered is never cut for another.
- So whoever sends a whole request at once is let in however many connections say nothing, or a byte at a time.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple


@dataclass(frozen=True)
class Bounds:
    most: int = 256
    most_an_origin: int = 128
    wait_s: float = 10.0
    """From the connection, or the end of an answer, to a whole request head: the TLS handshake is in it."""
    serve_s: float = 120.0
    """From a request's head to the end of its answer."""


class Held(NamedTuple):
    origin: str
    waits: bool


class Admission(NamedTuple):
    yes: bool
    makes_way: int | None = None
    """Whose place it takes."""


_SAME_NETWORK: Final = 64


def origin_of(address: str) -> str:
    """What counts as one origin: an IPv4 address, an IPv6 network of 64 bits, or whatever else it says."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if ip.version == 6 and ip.ipv4_mapped is not None:  # noqa: PLR2004 - IPv6
        return str(ip.ipv4_mapped)
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, _SAME_NETWORK), strict=False))  # noqa: PLR2004


def admitted(origin: str, held: Mapping[int, Held], bounds: Bounds) -> Admission:
    """Whether one more from this origin is let in; `held` by key, those that wait in the order since when."""
    of_origin = {key: one for key, one in held.items() if one.origin == origin}
    if len(of_origin) >= bounds.most_an_origin:
        among = of_origin
    elif len(held) >= bounds.most:
        among = dict(held)
    else:
        return Admission(yes=True)
    longest = next((key for key, one in among.items() if one.waits), None)
    return Admission(longest is not None, longest)

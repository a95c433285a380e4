"""Where to look for certificates, and what a served certificate says of its renewal.

- A place is HOST:PORT, HOST (port 443), [IPv6]:PORT, or a range: 192.0.2.0/28:443. A range stands for its hosts.
- All places together are at most `MOST`: whoever looks at more of a network splits it, and knows that they do.
- A served certificate is renewed if a target holds this very one; stale if a certificate of the inventory carries
  all of its names, but another is served; else nobody renews it.
- What an unknown server shows is untrusted: only its DNS names go into settings, and only those that settings take.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from schemas.certificates import CertificateFacts

MOST: Final = 1024
HTTPS: Final = 443
_LARGEST_PORT: Final = 65535

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_DNS_NAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")


@dataclass(frozen=True, order=True)
class Place:
    host: str
    port: int

    @property
    def server_name(self) -> str:
        """What is asked for; empty for an address, which is no name (RFC 6066)."""
        return "" if _address(self.host) else self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Renewed(StrEnum):
    YES = "renewed"
    STALE = "stale"
    NOBODY = "nobody"


@dataclass(frozen=True)
class Finding:
    renewed: Renewed
    certificate: str = ""
    """Its name in the inventory; empty if it has none."""


def places(words: Iterable[str]) -> list[Place]:
    """What the words stand for, each place once, in order. Raises `ValueError` that says which word is wrong."""
    found: dict[Place, None] = {}
    for word in words:
        host, port = _split(word)
        network = _network(host)
        if network is None:
            if not _HOST.fullmatch(host) and not _address(host):
                raise ValueError(
                    f"{word!r} is no place: give HOST:PORT, [IPv6]:PORT or a range 192.0.2.0/28:PORT"
                )
            found[Place(host.lower(), port)] = None
        elif network.num_addresses > MOST:
            raise ValueError(
                f"{word!r} stands for {network.num_addresses} addresses; {MOST} is the most at a time"
            )
        else:
            found |= {Place(str(one), port): None for one in network.hosts()}
        if len(found) > MOST:
            raise ValueError(f"that is more than {MOST} places at a time: split them")
    return list(found)


def _split(word: str) -> tuple[str, int]:
    host, port = word, str(HTTPS)
    if word.startswith("["):
        host, _, rest = word[1:].partition("]")
        port = rest.removeprefix(":") or port
    elif word.count(":") == 1:
        host, _, port = word.partition(":")
    if not (port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= _LARGEST_PORT):
        raise ValueError(f"{word!r} has no port between 1 and {_LARGEST_PORT}")
    return host, int(port)


def _address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _network(host: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    if "/" not in host:
        return None
    try:
        return ipaddress.ip_network(host)
    except ValueError as wrong:
        raise ValueError(f"{host!r} is no range: {wrong}") from None


def judge(
    served: CertificateFacts, held: Iterable[tuple[str, Sequence[str], CertificateFacts | None]]
) -> Finding:
    """`held`: for each target, its certificate's name in the inventory, the names in it, and what it holds."""
    targets = list(held)
    for name, _, facts in targets:
        if facts is not None and facts.fingerprint == served.fingerprint:
            return Finding(Renewed.YES, name)
    names = {one.lower() for one in served.names}
    for name, carried, _ in targets:
        if names and names <= set(carried):
            return Finding(Renewed.STALE, name)
    return Finding(Renewed.NOBODY)


def to_add(place: Place, served: CertificateFacts, issuers: Sequence[str]) -> dict[str, Any]:
    """An entry of `certificates` in the settings, to be completed by a person; empty if no name can go there."""
    names = [one for one in dict.fromkeys(name.lower() for name in served.names) if _DNS_NAME.fullmatch(one)]
    if not names:
        return {}
    name = re.sub(r"[^a-z0-9]+", "-", names[0]).strip("-")[:60].strip("-")
    target = {
        "name": re.sub(r"[^a-z0-9]+", "-", place.host.lower()).strip("-")[:60].strip("-") or "target-1",
        "directory": f"/var/lib/redoubt/{name}",
        "reload": ["/usr/bin/systemctl", "reload", "SERVICE"],
        "verify": {"host": place.host, "port": place.port},
    }
    return {name: {"names": names[:100], "issuers": list(issuers[:1]) or ["ISSUER"], "targets": [target]}}

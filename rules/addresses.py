"""Which addresses and URLs from outside a request may go to.

Invariants:
- An address is taken only if it is public, or lies in a network that is listed. Loopback, link-local, private,
  shared (CGNAT), multicast, unspecified and reserved addresses are none of them.
- An IPv6 address that carries an IPv4 address (mapped, compatible, translated, 6to4, Teredo) is never public:
  which machine it leads to is another network's choice. It may be listed, in its IPv6 form.
- A URL is https (http only where that is asked for), names a host, and carries no user name, no password and no
  character that two parsers could read in two ways.
- A redirect stays at its host and port, and never goes from https to http; from http to https the port may change.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NOT_OURS_TO_REACH = tuple(
    ipaddress.ip_network(one)
    for one in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # CGNAT (RFC 6598): Python counts it neither as private nor as global
        "192.0.0.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "198.18.0.0/15",
        "240.0.0.0/4",
        "::/96",  # IPv4-compatible, with ::1 and ::
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated (RFC 2765)
        "64:ff9b::/96",  # NAT64 (RFC 6052)
        "64:ff9b:1::/48",  # NAT64, local (RFC 8215)
        "100::/64",
        "2001::/23",  # Teredo and other protocols
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
    )
)
_PORTS = {"https": 443, "http": 80}
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]{1,4096}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]{2,45}")


@dataclass(frozen=True)
class Place:
    scheme: str
    host: str
    port: int


def may_reach(address: str, allow: Iterable[str]) -> bool:
    """`address` as a resolver gives it; `allow` are networks in CIDR form."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if any(ip in ipaddress.ip_network(one) for one in allow):
        return True
    return ip.is_global and not ip.is_multicast and not any(ip in one for one in _NOT_OURS_TO_REACH)


def place_of(url: str, *, plain: bool = False) -> Place:
    """Where a URL leads; `plain` takes http too. Raises `ValueError` with what is wrong, without the URL."""
    if not _URL.fullmatch(url):
        raise ValueError("it is too long or has characters that no URL has")
    parts = urlsplit(url)
    if parts.scheme != "https" and not (plain and parts.scheme == "http"):
        raise ValueError("it is not https")
    if "@" in parts.netloc:
        raise ValueError("it carries a user name or a password")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise ValueError("it names no host")
    return Place(parts.scheme, host.removesuffix("."), parts.port or _PORTS[parts.scheme])


def redirected(url: str, location: str, *, plain: bool = False) -> str:
    """The URL to go on with. Raises `ValueError` with what is wrong, without the URL."""
    target = urljoin(url, location)
    here, there = place_of(url, plain=plain), place_of(target, plain=plain)
    upgrade = (here.scheme, there.scheme) == ("http", "https")
    if there.host != here.host or (not upgrade and there != here):
        raise ValueError("it leads to another host, port or scheme")
    return target

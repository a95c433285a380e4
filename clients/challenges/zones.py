"""Which zone a name lies in, who is authoritative for it, and what each of them says: questions to the DNS.

A CNAME (or DNAME) at the challenge's name is followed, so that its record may live in a zone of its own. The
authoritative servers are asked directly: what a resolver keeps says nothing about what a CA will see. An answer
counts only with the authoritative bit. Raises `DependencyUnavailable`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from clients.dns.resolver import asking
from schemas.errors import DependencyUnavailable
from schemas.settings.dependencies import ResolverSettings
from schemas.settings.names import is_address

QUESTION_S: Final = 5.0
_MOST_SERVERS: Final = 32


class Zones:
    def __init__(self, given: ResolverSettings, port: int) -> None:
        """`port` is that of the authoritative name servers."""
        self._given = given
        self._port = port

    def owner(self, name: str) -> dns.name.Name:
        """Where the record of this name belongs, after every CNAME."""
        with translated(f"CNAME records of {name}"):
            return asking(self._given).canonical_name(dns.name.from_text(name))

    def zone(self, owner: dns.name.Name) -> dns.name.Name:
        with translated(f"the zone of {owner}"):
            return dns.resolver.zone_for_name(owner, resolver=asking(self._given))

    def servers(self, zone: dns.name.Name) -> dict[str, tuple[str, ...]]:
        """Each authoritative name server's name to its addresses."""
        with translated(f"the name servers of {zone}"):
            found = asking(self._given).resolve(zone, dns.rdatatype.NS)
        names = sorted(str(record.target) for record in found)[:_MOST_SERVERS]
        return {name: self.addresses(name) for name in names}

    def addresses(self, host: str) -> tuple[str, ...]:
        if is_address(host):
            return (host,)
        with translated(f"the address of {host}"):
            return tuple(asking(self._given).resolve_name(host).addresses())

    def texts(self, address: str, owner: dns.name.Name) -> set[str] | None:
        """The TXT records that this server has there; None if it does not answer with authority."""
        question = dns.message.make_query(owner, dns.rdatatype.TXT)
        question.flags &= ~dns.flags.RD
        try:
            answer, _ = dns.query.udp_with_fallback(question, address, QUESTION_S, self._port)
        except (dns.exception.DNSException, OSError):
            return None
        if not answer.flags & dns.flags.AA:
            return None
        found = [record for one in answer.answer if one.name == owner for record in one]
        return {joined(record) for record in found if isinstance(record, TXT)}


def joined(record: TXT) -> str:
    """A record's strings as one (RFC 1035 limits each to 255 bytes)."""
    return b"".join(record.strings).decode("ascii", "replace")


@contextmanager
def translated(what: str) -> Iterator[None]:
    try:
        yield
    except (dns.exception.DNSException, OSError) as error:
        raise DependencyUnavailable(f"The DNS did not answer for {what} ({type(error).__name__}).") from error

"""The DNS by dnspython, asked anew each time: what a resolver of the system keeps it keeps."""

from typing import Final

import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.CAA import CAA

from rules.caa import Record
from schemas.errors import DependencyUnavailable
from schemas.settings.dependencies import ResolverSettings

_PORT: Final = 53


class DnsResolver:
    def __init__(self, given: ResolverSettings) -> None:
        self._given = given

    def caa(self, name: str) -> tuple[Record, ...]:
        try:
            found = asking(self._given).resolve(
                dns.name.from_text(name), dns.rdatatype.CAA, raise_on_no_answer=False, search=False
            )
        except dns.resolver.NXDOMAIN:
            return ()
        except (dns.exception.DNSException, OSError) as error:
            raise DependencyUnavailable(
                f"The DNS did not answer for the CAA records of {name} ({type(error).__name__})."
            ) from error
        return tuple(_record(one) for one in found.rrset or () if isinstance(one, CAA))


def asking(given: ResolverSettings) -> dns.resolver.Resolver:
    """A resolver on the settings' name servers, or the system's."""
    resolver = dns.resolver.Resolver(configure=not given.servers)
    resolver.lifetime = given.timeout_s
    if given.servers:
        parts = [one.partition("#") for one in given.servers]
        resolver.nameservers = [
            dns.nameserver.Do53Nameserver(address, int(port or _PORT)) for address, _, port in parts
        ]
    return resolver


def _record(found: CAA) -> Record:
    return Record(found.flags, found.tag.decode("ascii", "replace"), found.value.decode("ascii", "replace"))

"""Writes one TXT record and takes it away by RFC 2136, each message signed with TSIG (RFC 8945).

A record is added beside others of its name and removed by its value: two orders of one name, or a name and its
wildcard, don't meet. Both are idempotent at the name server. Raises `DnsUpdateRefused`, `DependencyUnavailable`.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Final

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.update
from dns.rdataclass import IN
from dns.rdatatype import TXT as TEXT
from dns.rdtypes.ANY.TXT import TXT

from clients.challenges.zones import QUESTION_S, Zones, translated
from schemas.errors import DependencyUnavailable, DnsUpdateRefused, InvalidReference
from schemas.settings.challenges import DnsUpdate

_LONGEST_STRING: Final = 255
_LATER: Final = {dns.rcode.SERVFAIL}


class Updater:
    def __init__(self, given: DnsUpdate, secret: Callable[[], bytes], zones: Zones) -> None:
        """`secret` gives the TSIG key's base64 text whenever it is needed."""
        self._given = given
        self._secret = secret
        self._zones = zones

    def zone(self, owner: dns.name.Name) -> dns.name.Name:
        return self._zones.zone(owner) if self._given.zone is None else dns.name.from_text(self._given.zone)

    def add(self, owner: dns.name.Name, text: str) -> None:
        message = self._message(owner)
        message.add(owner, self._given.ttl_s, _record(text))
        self._send(message, owner)

    def remove(self, owner: dns.name.Name, text: str) -> None:
        message = self._message(owner)
        message.delete(owner, _record(text))
        self._send(message, owner)

    def _message(self, owner: dns.name.Name) -> dns.update.UpdateMessage:
        try:
            secret = base64.b64decode(self._secret(), validate=True)
        except (binascii.Error, ValueError):
            # The cause would show the text.
            raise InvalidReference("The TSIG key of the dynamic update is not base64.") from None
        name = dns.name.from_text(self._given.key_name)
        key = dns.tsig.Key(name, secret, dns.name.from_text(self._given.algorithm))
        return dns.update.UpdateMessage(self.zone(owner), keyring=key, keyalgorithm=key.algorithm)

    def _send(self, message: dns.update.UpdateMessage, owner: dns.name.Name) -> None:
        address = self._zones.addresses(self._given.server)[0]
        refused = f"{self._given.server} refused to change {owner}"
        try:
            with translated(f"an update of {owner} at {self._given.server}"):
                code = dns.query.tcp(message, address, QUESTION_S, self._given.port).rcode()
        except DependencyUnavailable as error:
            if isinstance(error.__cause__, dns.tsig.PeerError | dns.tsig.BadSignature):
                raise DnsUpdateRefused(f"{refused}: {type(error.__cause__).__name__}.") from error
            raise
        if code in _LATER:
            raise DependencyUnavailable(f"{self._given.server} could not change {owner} now.")
        if code != dns.rcode.NOERROR:
            raise DnsUpdateRefused(f"{refused}: {dns.rcode.to_text(code)}.")


def _record(text: str) -> TXT:
    octets = text.encode("ascii")
    strings = [octets[at : at + _LONGEST_STRING] for at in range(0, len(octets), _LONGEST_STRING)]
    return TXT(IN, TEXT, strings)

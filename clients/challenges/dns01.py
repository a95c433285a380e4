"""DNS-01 (RFC 8555, 8.4): a TXT record at `_acme-challenge`, written by dynamic update and gone afterwards."""

import base64
import hashlib
from collections.abc import Callable
from typing import Final

import dns.name

from clients.challenges import Proof
from clients.challenges.dns_update import Updater
from clients.challenges.visibility import Wanted, await_record
from clients.challenges.zones import Zones
from rules.points import reached
from schemas.settings.challenges import Dns01Challenge
from schemas.settings.dependencies import ResolverSettings

_LABEL: Final = "_acme-challenge"


class Dns01Solver:
    """The port `ChallengeSolver`."""

    kind = "dns-01"

    def __init__(
        self, given: Dns01Challenge, resolver: ResolverSettings, secret: Callable[[], bytes]
    ) -> None:
        """`secret` gives the TSIG key's base64 text whenever it is needed."""
        self._given = given
        self._zones = Zones(resolver, given.visibility.port)
        self._updater = Updater(given.update, secret, self._zones)

    def publish(self, proof: Proof) -> None:
        self._updater.add(self._owner(proof), digest_of(proof))
        reached("challenge.published")

    def await_visible(self, proof: Proof, beat: Callable[[], None]) -> None:
        owner, digest = self._owner(proof), digest_of(proof)
        within_s = self._given.visibility.timeout_s
        await_record(self._zones, Wanted(self._updater.zone(owner), owner, digest.__eq__), within_s, beat)

    def withdraw(self, proof: Proof) -> None:
        self._updater.remove(self._owner(proof), digest_of(proof))

    def _owner(self, proof: Proof) -> dns.name.Name:
        return self._zones.owner(f"{_LABEL}.{proof.name}")


def digest_of(proof: Proof) -> str:
    digest = hashlib.sha256(proof.key_authorization.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

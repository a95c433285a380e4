"""DNS-PERSIST-01 (draft-ietf-acme-dns-persist): a lasting TXT record that binds a name to our account at the CA.

It is written once, by dynamic update or by a person, and stays: whoever holds the account's key may then order for
that name without touching the DNS again. Without `update` a missing record is an error that says what to write.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import dns.name

from clients.challenges import Proof
from clients.challenges.dns_update import Updater
from clients.challenges.visibility import Wanted, await_record
from clients.challenges.zones import Zones
from rules.persistent_proofs import LABEL, allows, record
from rules.points import reached
from schemas.errors import CaRefused, ChallengeNotVisible
from schemas.settings.challenges import DnsPersistChallenge
from schemas.settings.dependencies import ResolverSettings


class DnsPersistSolver:
    """The port `ChallengeSolver`."""

    kind = "dns-persist-01"

    def __init__(
        self, given: DnsPersistChallenge, resolver: ResolverSettings, secret: Callable[[], bytes]
    ) -> None:
        """`secret` gives the TSIG key's base64 text whenever it is needed; never without `update`."""
        self._given = given
        self._zones = Zones(resolver, given.visibility.port)
        self._updater = None if given.update is None else Updater(given.update, secret, self._zones)

    def publish(self, proof: Proof) -> None:
        wanted = _wanted(proof)
        if self._updater is not None:
            self._updater.add(self._owner(proof), wanted)
        reached("challenge.published")

    def await_visible(self, proof: Proof, beat: Callable[[], None]) -> None:
        owner = self._owner(proof)
        zone = self._zones.zone(owner) if self._updater is None else self._updater.zone(owner)
        within_s = self._given.visibility.timeout_s
        try:
            await_record(self._zones, Wanted(zone, owner, lambda text: _allows(text, proof)), within_s, beat)
        except ChallengeNotVisible as error:
            put = f'{error.in_full} Put this record there: {owner} TXT "{_wanted(proof)}".'
            raise ChallengeNotVisible(put) from error

    def withdraw(self, proof: Proof) -> None:
        """It is made to last."""

    def _owner(self, proof: Proof) -> dns.name.Name:
        return self._zones.owner(f"{LABEL}.{proof.name}")


def _wanted(proof: Proof) -> str:
    if not proof.issuer_domains:
        raise CaRefused("The CA names no domain of its own, which dns-persist-01 needs.")
    text = record(proof.issuer_domains[0], proof.account, wildcard=proof.wildcard)
    if not text.isascii() or not text.isprintable() or not _allows(text, proof):
        raise CaRefused("The CA names a domain or an account that no record can hold.")
    return text


def _allows(text: str, proof: Proof) -> bool:
    return allows(text, proof.issuer_domains, proof.account, wildcard=proof.wildcard, now=datetime.now(UTC))

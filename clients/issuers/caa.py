"""Before an order: what CAA records say about the CA. The CA's own check decides; ours is earlier, and in words.

A name server that does not answer holds the order back: nobody knows whether it may be made.
"""

from collections.abc import Callable

from clients.dns import Resolver
from rules import caa
from schemas.errors import CaaForbids
from schemas.settings.names import is_address


class CaaCheck:
    def __init__(self, issuer: str, identities: tuple[str, ...], method: str, resolver: Resolver) -> None:
        """`identities` are the CA's names in CAA records; without any nothing is looked up."""
        self._issuer = issuer
        self._identities = identities
        self._method = method
        self._resolver = resolver

    def check(self, names: tuple[str, ...], account: Callable[[], str]) -> None:
        """Raises `CaaForbids`, `DependencyUnavailable`; our account's URL is asked for only where it matters."""
        if not self._identities:
            return
        found: dict[str, tuple[caa.Record, ...]] = {}
        for name in names:
            if not is_address(name):  # no CAA record is about an address
                self._check_one(name, found, account)

    def _check_one(
        self, name: str, found: dict[str, tuple[caa.Record, ...]], account: Callable[[], str]
    ) -> None:
        for place in caa.places(name):
            if place not in found:
                found[place] = self._resolver.caa(place)
            if found[place]:
                return self._judge(name, place, found[place], account)
        return None

    def _judge(
        self, name: str, place: str, records: tuple[caa.Record, ...], account: Callable[[], str]
    ) -> None:
        url = account() if caa.binds_account(records) else None
        record = caa.forbidding(name, records, caa.Asker(self._identities, self._method, url))
        if record is not None:
            raise CaaForbids(
                f"{place} has the CAA record {caa.in_words(record)}, which does not let {self._issuer} "
                f"({', '.join(self._identities)}) issue for {name} by {self._method}."
            )

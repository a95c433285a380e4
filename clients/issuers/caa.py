"""Before an order: what CAA records say about the CA. The CA's own check decides; ours is earlier, and in words.

The CA's names are those of the settings, else those that its directory gives (RFC 8555, 7.1.1, `caaIdentities`). A name
server that does not answer holds the order back: nobody knows whether it may be made.
"""

from collections.abc import Callable

from clients.dns import Resolver
from rules import caa
from schemas.errors import CaaForbids, RedoubtError
from schemas.settings.names import is_address


class CaaCheck:
    def __init__(self, issuer: str, identities: tuple[str, ...], method: str, resolver: Resolver) -> None:
        """`identities` are the CA's names in CAA records, as the settings have them; empty: as the CA gives them."""
        self._issuer = issuer
        self._identities = identities
        self._method = method
        self._resolver = resolver

    def check(
        self, names: tuple[str, ...], account: Callable[[], str], offered: object = ()
    ) -> tuple[str, ...]:
        """The names of the CA by which records were looked up; empty: none is known, so nothing was looked up.

        `offered` is what the CA's directory gives. Raises `CaaForbids`, `DependencyUnavailable`; our account's URL is
        asked for only where it matters.
        """
        identities = self._identities or caa.identities(offered)
        found: dict[str, tuple[caa.Record, ...]] = {}
        for name in names if identities else ():
            if not is_address(name):  # no CAA record is about an address
                self._check_one(name, found, identities, account)
        return identities

    def _check_one(
        self,
        name: str,
        found: dict[str, tuple[caa.Record, ...]],
        identities: tuple[str, ...],
        account: Callable[[], str],
    ) -> None:
        for place in caa.places(name):
            if place not in found:
                found[place] = self._resolver.caa(place)
            if records := found[place]:
                url = account() if caa.binds_account(records) else None
                record = caa.forbidding(name, records, caa.Asker(identities, self._method, url))
                if record is not None:
                    raise self._forbidden(name, place, record, identities)
                return

    def _forbidden(
        self, name: str, place: str, record: caa.Record, identities: tuple[str, ...]
    ) -> RedoubtError:
        return CaaForbids(
            f"{place} has the CAA record {caa.in_words(record)}, which does not let {self._issuer} "
            f"({', '.join(identities)}) issue for {name} by {self._method}."
        )

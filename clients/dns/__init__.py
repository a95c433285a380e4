"""Port: what the DNS says. Answers are those of the name servers that the settings name, not validated by DNSSEC."""

from typing import Protocol

from rules.caa import Record


class Resolver(Protocol):
    def caa(self, name: str) -> tuple[Record, ...]:
        """The CAA records at exactly this name, or where its CNAME leads; empty if there are none, or no such name.

        Raises `DependencyUnavailable` when no name server gave a usable answer: that is not the same as none.
        """

"""Port: a place for small secret documents where each write names the revision that it replaces.

A target in a secret store is built on this and nothing else. Names are `current`, `fence`, `key/ID` and
`staged/VERSION`; where they lie is the implementation's. Methods raise `TargetUnreachable` and `TargetRefused`.
"""

from typing import Protocol

from pydantic import Field

from schemas.contract import Contract

CURRENT = "current"
FENCE = "fence"


class Document(Contract):
    certificate: str = ""
    """PEM, leaf first; empty where there is none."""
    private_key: str = Field(default="", repr=False)
    """PKCS#8 PEM; empty where there is none. No text of this document shows it."""
    marks: dict[str, str] = Field(default_factory=dict)
    """What we note about it; empty: it was not written by us."""


class Kept(Contract):
    document: Document
    revision: str
    """What the next write of this name must name."""
    made_at: str
    """When this revision was written, by the store's clock; later sorts later (RFC 3339, UTC)."""


class Shelf(Protocol):
    def get(self, name: str) -> Kept | None:
        """The newest revision; None if there never was one. One that was deleted is an empty document."""

    def put(self, name: str, document: Document, revision: str | None) -> bool:
        """Write it in one step if `revision` (None: nothing) is what is there; else change nothing: False."""

    def delete(self, name: str) -> None:
        """With all its revisions; no error if it is not there."""

    def names(self, folder: str) -> tuple[str, ...]:
        """The names of what lies in `key` or `staged`, without the folder."""

    def forget_earlier(self, name: str) -> None:
        """Destroy what the store keeps of earlier revisions: they hold private keys."""

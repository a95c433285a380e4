"""Port: what serves a certificate.

A target keeps versions side by side; `switch` makes one of them current in one atomic step. A version's name is
its leaf's SHA-256 fingerprint. Every effect carries a `Fence`: under the target's own lock, an attempt that is
older than the newest fence seen there is refused with `Fenced`, so a zombie can't undo an undo.
Methods raise `TargetUnreachable` (also: disk full), `TargetRefused` (our key or token), `ReloadFailed`, `Fenced`.
"""

from typing import Protocol

from schemas.contract import Contract
from schemas.settings.key_stores import KeyAlgorithm


class Fence(Contract):
    operation: str
    """Operation IDs sort by time of opening (UUIDv7), so a later operation overtakes an earlier one."""
    epoch: int
    """1 while going forward, 2 once the operation undoes itself."""


class Bundle(Contract):
    version: str
    fullchain: bytes
    """PEM, leaf first."""
    key_id: str
    """The key made on the target under this ID, or the key store's key."""
    key_uri: str | None
    """RFC 7512, for a key that stays in a key store; None: the key was made on the target."""


class Target(Protocol):
    name: str

    def make_key(self, key_id: str, algorithm: KeyAlgorithm, names: tuple[str, ...]) -> bytes:
        """Make a key on the target (or find the one of this ID) and return a CSR (DER) for these names.

        The private key never leaves the target.
        """

    def stage(self, bundle: Bundle, fence: Fence) -> None:
        """Put a version beside the current one, complete and synced, without using it. Again: no effect."""

    def current(self) -> str | None:
        """The version in use, or None if there is none yet."""

    def read(self, version: str) -> bytes | None:
        """The PEM chain of a version that is kept here, leaf first; None if it is not."""

    def drift(self, expected: str | None) -> str | None:
        """What was changed behind our back, in words; None if nothing was.

        `expected` is the version that the last operation left in use (None: none at all). Looked at are which
        version is in use, and whether its certificate, its key and what names them are still what was staged.
        """

    def switch(self, version: str, fence: Fence) -> None:
        """Make `version` current in one atomic step and have the service read it.

        If the service refuses it, raises `ReloadFailed` with the version still current: undoing is the caller's.
        """

    def switch_back(self, version: str | None, fence: Fence) -> None:
        """Make an earlier version current again (None: none at all), and have the service read it."""

    def retire(self, keep: tuple[str, ...], fence: Fence) -> None:
        """Delete versions beyond what the settings keep, never one of `keep`, nor the current one."""

    def destroy_key(self, key_id: str, fence: Fence) -> None:
        """Destroy a key that was made here, with each version that has it: none of them can be gone back to.

        No error if it is not there. Raises `StillServed` if the current version has it.
        """

"""Port: a seal on what this installation keeps in its records and will act on later.

Whoever may write to the records could else have a worker do what the settings never said.
"""

from typing import Protocol


class Seals(Protocol):
    """Every worker of the installation makes the same, whatever its host. Raises `KeyStoreUnavailable`."""

    def seal(self, content: bytes) -> str: ...

    def genuine(self, content: bytes, seal: str) -> bool:
        """Whether this installation has sealed just that."""

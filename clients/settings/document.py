"""What was read: values, where each was given, and what is wrong with them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    file: Path
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Place, str] = field(default_factory=dict)
    """Where each value was given: `FILE:LINE` or `environment NAME`."""

    def origin(self, at: Place) -> str:
        """Where this value, and any item of it that the environment replaced, was given; else `default`."""
        replaced = (
            where
            for place, where in self.places.items()
            if len(place) > len(at) and place[: len(at)] == at and where.startswith("environment ")
        )
        return ", ".join(dict.fromkeys((*filter(None, [self.places.get(at)]), *replaced))) or "default"

    def nearest(self, at: Place) -> str:
        """The line to look at for a problem here, even if the value itself was not given."""
        return next((self.places[at[:cut]] for cut in range(len(at), 0, -1) if at[:cut] in self.places), "")


@dataclass(frozen=True)
class Problem:
    where: str
    """`FILE:LINE` or `environment NAME`; empty if nothing was given that could be pointed at."""
    name: str
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.where, self.name, self.text) if part)

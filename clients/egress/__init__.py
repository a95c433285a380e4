"""Port: requests whose URL came from outside: links in a CA's answers, CRL distribution points, webhooks.

Every implementation promises (`rules.addresses` says which addresses and URLs):
- A name is resolved once, and the connection goes to an address that was checked; TLS is verified against the name.
- A redirect is followed at its own host only, three times at most, and never after a POST.
- An answer is read up to `largest` bytes, uncompressed, and the whole exchange ends within `within_s`,
  looking the name up included.
- No cookie, no proxy, no credential of the environment goes along.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True)
class Request:
    url: str
    source: str
    """Who gave the URL, as errors name it: `the CA acme-1`."""
    method: Literal["GET", "HEAD", "POST"] = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    plain: bool = False
    """Whether http will do: for what is signed itself, like a CRL."""
    content_types: tuple[str, ...] = ()
    """What a successful answer with a body may be; empty: anything."""
    largest: int = 1 << 20
    """Bytes."""
    within_s: float = 20.0


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: bytes


class Egress(Protocol):
    def send(self, request: Request) -> Answer:
        """The answer, also of a status of 400 and more.

        Raises `EgressRefused` where a promise above would be broken, `DependencyUnavailable` where nobody answers.
        """

"""Who somebody is: signed requests, tokens and certificates held against what the policy says of them.

Every `Authenticator` promises:
- Only what was verified makes somebody a principal; what a request merely says of its sender does not.
- The principal is one that the policy names for exactly this identity; nobody else's, and never one in hardware.
- What is shown and is not good is refused, whatever else comes with it: nobody falls back to being someone else.
- Where it can't be judged it is refused too (`DependencyUnavailable`).
- No token, key or part of one stands in an error.
"""

from dataclasses import dataclass, field
from typing import Protocol

from clients.signers import Proof
from schemas.policies import Policy
from schemas.principals import Principal
from schemas.signing_keys import SigningKey


class Verifier(Protocol):
    def __call__(self, key: SigningKey, message: bytes, signature: str) -> Proof | None:
        """None unless `signature` (base64) is one by `key` over `message`; never raises for what was signed badly."""


@dataclass(frozen=True)
class Presented:
    """What came with a request to show who asks."""

    bearer: str | None = field(default=None, repr=False)
    """Of the header `Authorization`, without the word Bearer."""
    client_certificate: str | None = None
    """PEM; verified by the TLS layer, and never taken from a header."""


class Authenticator(Protocol):
    async def principal(self, policy: Policy, presented: Presented) -> Principal | None:
        """Who asks; None if nothing of this kind is presented.

        Raises `NotAuthenticated` if what is presented is not good or nobody's, and `DependencyUnavailable`.
        """

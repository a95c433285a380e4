"""Who somebody is: signed requests, tokens and certificates held against what the policy says of them."""

from typing import Protocol

from schemas.policies import SigningKey


class Verifier(Protocol):
    def __call__(self, key: SigningKey, message: bytes, signature: str) -> bool:
        """Whether `signature` (base64) is one by `key` over `message`; never raises for what was signed badly."""

"""A P-256 key in a key store of the settings: a token behind PKCS#11, where it was made and which it never leaves."""

import base64

from clients.keystores import KeyStore
from schemas.errors import KeyUnsuitable
from schemas.signing_keys import SigningKey


class TokenSigner:
    def __init__(self, key_id: str, store: KeyStore, stored: bytes) -> None:
        """`key_id` is the policy's name of the key, `stored` its ID in the store (CKA_ID)."""
        facts = store.describe(stored)
        if facts.algorithm != "EC-P256":
            raise KeyUnsuitable(
                f"Key {stored.hex()} of key store {store.name} is {facts.algorithm}; EC-P256 signs approvals."
            )
        self._store, self._stored = store, stored
        custody = store.custody(stored)
        self.key = SigningKey(
            id=key_id,
            kind="file" if custody is None else "pkcs11",
            public_key=base64.b64encode(facts.public_key).decode(),
            custody=custody,
        )

    def sign(self, statement: bytes) -> bytes:
        return self._store.sign(self._stored, statement, "sha256")

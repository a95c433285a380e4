"""The key of the recorded histories. TEST ONLY: it is published here, so it protects nothing."""

from typing import Final

from clients.temporal.keyring import PayloadKey, PayloadRefused

TEST_ONLY_SCOPE: Final = "replay-corpus-test-only"
TEST_ONLY_KEY: Final = PayloadKey("test-only/1", b"TEST-ONLY-KEY-PROTECTING-NOTHING")


class TestOnlyRing:
    __test__ = False
    scope = TEST_ONLY_SCOPE

    def __init__(self, key: PayloadKey = TEST_ONLY_KEY) -> None:
        self._key = key

    def current(self) -> PayloadKey:
        return self._key

    def key(self, key_id: str) -> PayloadKey:
        if key_id != self._key.id:
            raise PayloadRefused(f"This ring does not have the payload key {key_id}.")
        return self._key

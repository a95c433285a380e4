"""What the codec promises about payloads, whoever touched them on the way."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.exceptions import ApplicationError

from clients.temporal import codec as codec_module
from clients.temporal.codec import ENCODING, RedoubtCodec
from clients.temporal.keyring import PayloadKey, PayloadRefused

CANARY = b"canary-7f3a"


class OneKey:
    def __init__(
        self, secret: bytes = b"k" * 32, scope: str = "redoubt", key_id: str = "payload-codec/1"
    ) -> None:
        self.scope = scope
        self._key = PayloadKey(key_id, secret)

    def current(self) -> PayloadKey:
        return self._key

    def key(self, key_id: str) -> PayloadKey:
        if key_id != self._key.id:
            raise PayloadRefused("not this ring's")
        return self._key


def sealed(codec: RedoubtCodec, payload: Payload) -> Payload:
    return asyncio.run(codec.encode([payload]))[0]


def opened(codec: RedoubtCodec, payload: Payload) -> Payload:
    return asyncio.run(codec.decode([payload]))[0]


def example() -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=b'"%b"' % CANARY)


@given(st.binary(max_size=2000), st.dictionaries(st.text(max_size=20), st.binary(max_size=50), max_size=4))
def test_what_goes_in_comes_out_and_nothing_of_it_shows(data: bytes, metadata: dict[str, bytes]) -> None:
    payload = Payload(metadata={**metadata, "encoding": b"json/plain"}, data=CANARY + data)
    hidden = sealed(RedoubtCodec(OneKey()), payload)
    assert CANARY not in hidden.SerializeToString()
    assert b"json/plain" not in hidden.SerializeToString()
    assert hidden.metadata["encoding"] == ENCODING
    assert opened(RedoubtCodec(OneKey()), hidden) == payload


def test_equal_payloads_are_never_equal_on_the_wire() -> None:
    codec = RedoubtCodec(OneKey())
    assert len({sealed(codec, example()).data for _ in range(1000)}) == 1000


def test_plain_payloads_pass() -> None:
    assert opened(RedoubtCodec(OneKey()), example()) == example()


@pytest.mark.parametrize(
    "ring",
    [OneKey(b"x" * 32), OneKey(key_id="payload-codec/2"), OneKey(scope="another")],
    ids=["another key under the same ID", "an unknown key", "another scope"],
)
def test_what_another_ring_sealed_is_refused_as_a_task_that_waits(ring: OneKey) -> None:
    hidden = sealed(RedoubtCodec(OneKey()), example())
    with pytest.raises(PayloadRefused) as refused:
        opened(RedoubtCodec(ring), hidden)
    assert isinstance(refused.value, RuntimeError)
    assert not isinstance(refused.value, ApplicationError)
    assert CANARY.decode() not in str(refused.value)


@pytest.mark.parametrize("field", ["key-id", "scope", "salt"])
def test_each_field_of_the_metadata_is_bound(field: str) -> None:
    class Lenient(OneKey):
        def key(self, key_id: str) -> PayloadKey:
            return PayloadKey(key_id, b"k" * 32)

    hidden = sealed(RedoubtCodec(Lenient()), example())
    hidden.metadata[field] = hidden.metadata[field] + b"1"
    with pytest.raises(PayloadRefused):
        opened(RedoubtCodec(Lenient()), hidden)


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    hidden = sealed(RedoubtCodec(OneKey()), example())
    position = data.draw(st.integers(0, len(hidden.data) - 1))
    changed = bytearray(hidden.data)
    changed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(PayloadRefused):
        opened(RedoubtCodec(OneKey()), Payload(metadata=hidden.metadata, data=bytes(changed)))


@given(
    st.binary(max_size=40),
    st.dictionaries(st.sampled_from(["key-id", "scope", "salt"]), st.binary(max_size=30)),
)
def test_garbage_that_claims_to_be_ours_is_refused_and_nothing_else(
    data: bytes, fields: dict[str, bytes]
) -> None:
    garbage = Payload(metadata={"scope": b"redoubt", **fields, "encoding": ENCODING}, data=data)
    with pytest.raises(PayloadRefused):
        opened(RedoubtCodec(OneKey()), garbage)


def test_a_derived_key_is_left_long_before_its_nonces_could_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    assert codec_module.PAYLOADS_PER_SALT <= 2**28
    monkeypatch.setattr(codec_module, "PAYLOADS_PER_SALT", 3)
    codec = RedoubtCodec(OneKey())
    salts = [sealed(codec, example()).metadata["salt"] for _ in range(8)]
    assert len(set(salts)) >= 2
    assert max(salts.count(salt) for salt in salts) <= 4


def test_two_processes_share_no_derived_key() -> None:
    one, other = RedoubtCodec(OneKey()), RedoubtCodec(OneKey())
    assert sealed(one, example()).metadata["salt"] != sealed(other, example()).metadata["salt"]

"""The ring over the real software key store: rotation, other processes, a store that is away."""

import asyncio
import threading
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload

from clients.keystores.software import SoftwareKeyStore
from clients.temporal.codec import RedoubtCodec
from clients.temporal.keyring import SECRET, KeyRing, PayloadRefused
from schemas.errors import KeyStoreUnavailable


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def store(tmp_path: Path) -> SoftwareKeyStore:
    folder = tmp_path / "codec"
    folder.mkdir(mode=0o700)
    return SoftwareKeyStore("codec", folder, b"m" * 32)


def test_old_payloads_stay_readable_after_rotations(store: SoftwareKeyStore) -> None:
    ring = KeyRing(store, "redoubt")
    payloads = []
    for count in range(3):
        assert ring.rotate() == count + 1
        payloads += asyncio.run(RedoubtCodec(ring).encode([Payload(data=b"%d" % count)]))
    assert ring.versions() == (1, 2, 3)
    assert [p.metadata["key-id"] for p in payloads] == [b"%s/%d" % (SECRET.encode(), n) for n in (1, 2, 3)]
    fresh = RedoubtCodec(KeyRing(store, "redoubt"))
    assert [p.data for p in asyncio.run(fresh.decode(payloads))] == [b"0", b"1", b"2"]


def test_a_running_codec_encrypts_with_the_new_version_at_once(store: SoftwareKeyStore) -> None:
    ring = KeyRing(store, "redoubt")
    ring.rotate()
    codec = RedoubtCodec(ring)
    before = asyncio.run(codec.encode([Payload()]))[0]
    ring.rotate()
    after = asyncio.run(codec.encode([Payload()]))[0]
    assert before.metadata["key-id"] != after.metadata["key-id"]


def test_another_process_takes_the_new_version_up_within_its_time(store: SoftwareKeyStore) -> None:
    KeyRing(store, "redoubt").rotate()
    clock = Clock()
    other = KeyRing(store, "redoubt", refresh_s=10, clock=clock)
    assert other.current().id == f"{SECRET}/1"
    KeyRing(store, "redoubt").rotate()
    clock.now = 9.9
    assert other.current().id == f"{SECRET}/1"
    clock.now = 10.1
    assert other.current().id == f"{SECRET}/2"


def test_another_process_reads_a_payload_of_the_new_version_at_once(store: SoftwareKeyStore) -> None:
    rotating = KeyRing(store, "redoubt")
    rotating.rotate()
    other = KeyRing(store, "redoubt", clock=Clock())
    other.current()
    rotating.rotate()
    hidden = asyncio.run(RedoubtCodec(rotating).encode([Payload(data=b"new")]))
    assert asyncio.run(RedoubtCodec(other).decode(hidden))[0].data == b"new"


class Away(SoftwareKeyStore):
    away = False

    def secret(self, name: str, version: int | None = None) -> tuple[int, bytes]:
        if self.away:
            raise KeyStoreUnavailable("The disk is gone.")
        return super().secret(name, version)


def test_it_goes_on_with_what_it_knows_while_the_store_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "codec"
    folder.mkdir(mode=0o700)
    store, clock = Away("codec", folder, b"m" * 32), Clock()
    ring = KeyRing(store, "redoubt", refresh_s=10, clock=clock)
    ring.rotate()
    known = ring.current()
    store.away, clock.now = True, 11
    assert ring.current() == known
    assert ring.key(known.id) == known
    assert "does not answer" in caplog.text
    with pytest.raises(PayloadRefused, match=f"{SECRET}/2"):
        ring.key(f"{SECRET}/2")


def test_without_a_first_key_nothing_is_sent_and_the_error_says_what_to_do(store: SoftwareKeyStore) -> None:
    with pytest.raises(PayloadRefused, match="redoubt init"):
        KeyRing(store, "redoubt").current()


@pytest.mark.parametrize(
    "key_id", ["", "1", "other/1", f"{SECRET}/", f"{SECRET}/-1", f"{SECRET}/²", f"{SECRET}/{10**50}"]
)
def test_a_name_that_no_key_can_have_never_reaches_the_store(store: SoftwareKeyStore, key_id: str) -> None:
    with pytest.raises(PayloadRefused, match="none of this installation"):
        KeyRing(store, "redoubt").key(key_id)


def test_a_key_of_a_wrong_length_is_refused(store: SoftwareKeyStore) -> None:
    store.put_secret(SECRET, b"short")
    with pytest.raises(PayloadRefused, match="32 bytes"):
        KeyRing(store, "redoubt").current()


def test_a_key_never_shows_its_secret(store: SoftwareKeyStore) -> None:
    ring = KeyRing(store, "redoubt")
    ring.rotate()
    assert ring.current().secret.hex() not in repr(ring.current())
    assert str(ring.current().secret) not in f"{ring.current()}"


def test_many_threads_get_one_key_from_one_read() -> None:
    class Counting:
        reads = 0

        def put_secret(self, name: str, value: bytes) -> int:
            raise AssertionError((name, value))

        def secret(self, name: str, version: int | None = None) -> tuple[int, bytes]:
            assert (name, version) == (SECRET, None)
            self.reads += 1
            return 1, b"k" * 32

        def secret_versions(self, name: str) -> tuple[int, ...]:
            return (1,) if name == SECRET else ()

    store = Counting()
    ring = KeyRing(store, "redoubt", clock=Clock())
    barrier, seen = threading.Barrier(8), []

    def ask() -> None:
        barrier.wait(10)
        seen.append(ring.current())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 8
    assert set(seen) == {ring.current()}
    assert store.reads == 1

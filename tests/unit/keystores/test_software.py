"""What only the software key store promises: its files, its versions, its folder."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.keystores.sealed import Label, Seal
from clients.keystores.software import SoftwareKeyStore
from schemas.errors import InvalidReference, KeyNotFound, KeyStoreUnavailable, KeyUnsuitable

MASTER = os.urandom(32)


@pytest.fixture
def store(tmp_path: Path) -> SoftwareKeyStore:
    return SoftwareKeyStore("codec", tmp_path / "store", MASTER)


def test_versions_count_up_and_stay_readable(store: SoftwareKeyStore) -> None:
    assert store.put_secret("payload", b"one") == 1
    assert store.put_secret("payload", b"two") == 2
    assert store.secret("payload") == (2, b"two")
    assert store.secret("payload", 1) == (1, b"one")
    assert store.secret_versions("payload") == (1, 2)


def test_a_secret_that_is_not_there_is_named(store: SoftwareKeyStore) -> None:
    assert store.secret_versions("payload") == ()
    with pytest.raises(KeyNotFound, match="payload"):
        store.secret("payload")
    store.put_secret("payload", b"one")
    with pytest.raises(KeyNotFound, match="version 7"):
        store.secret("payload", 7)


@pytest.mark.parametrize("name", ["../keys", "a/b", "", "A", ".hidden", "a" * 70])
def test_a_name_leads_nowhere_else(store: SoftwareKeyStore, name: str) -> None:
    with pytest.raises(KeyUnsuitable):
        store.put_secret(name, b"value")


def test_nothing_lies_in_plain_and_everything_is_private(store: SoftwareKeyStore, tmp_path: Path) -> None:
    store.put_secret("payload", b"canary-2266")
    store.generate(b"\x01", "label", "EC-P256")
    for path in (tmp_path / "store").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file():
            content = path.read_bytes()
            assert b"canary-2266" not in content
            assert b"label" not in content


def test_the_master_key_may_be_given_in_hexadecimal(store: SoftwareKeyStore, tmp_path: Path) -> None:
    store.put_secret("payload", b"value")
    assert SoftwareKeyStore("codec", tmp_path / "store", MASTER.hex().encode()).secret("payload") == (
        1,
        b"value",
    )


@pytest.mark.parametrize(
    "master_key",
    [b"", b"short", os.urandom(31), os.urandom(16).hex().encode(), b"z" * 64],
    ids=["empty", "short", "31 bytes", "16 in hex", "no hex"],
)
def test_another_master_key_length_is_refused(tmp_path: Path, master_key: bytes) -> None:
    with pytest.raises(InvalidReference, match="32 bytes"):
        SoftwareKeyStore("codec", tmp_path, master_key)


def test_another_master_key_opens_nothing_and_check_says_so(store: SoftwareKeyStore, tmp_path: Path) -> None:
    store.check()
    store.put_secret("payload", b"value")
    store.check()
    other = SoftwareKeyStore("codec", tmp_path / "store", os.urandom(32))
    with pytest.raises(KeyStoreUnavailable, match="does not open"):
        other.check()
    with pytest.raises(KeyStoreUnavailable):
        other.secret("payload")


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o707])
def test_a_wide_folder_is_refused(store: SoftwareKeyStore, tmp_path: Path, mode: int) -> None:
    store.put_secret("payload", b"value")
    (tmp_path / "store").chmod(mode)
    for use in (
        lambda: store.secret("payload"),
        lambda: store.put_secret("payload", b"x"),
        store.check,
        store.list,
    ):
        with pytest.raises(KeyStoreUnavailable, match="0700"):
            use()


def test_a_file_moved_or_renamed_does_not_open(store: SoftwareKeyStore, tmp_path: Path) -> None:
    store.put_secret("payload", b"one")
    store.put_secret("payload", b"two")
    folder = tmp_path / "store" / "secrets" / "payload"
    (folder / "1.secret").replace(folder / "2.secret")
    with pytest.raises(KeyStoreUnavailable, match="does not open"):
        store.secret("payload", 2)
    # The same folder under another store's name: the name is bound in as well.
    with pytest.raises(KeyStoreUnavailable, match="does not open"):
        SoftwareKeyStore("other", tmp_path / "store", MASTER).secret("payload", 2)


@given(content=st.binary(max_size=300), place=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_a_changed_byte_is_found(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, place: int, flip: int
) -> None:
    path, seal, label = tmp_path_factory.mktemp("seal") / "file", Seal(MASTER), Label("s", "key", "a", 1)
    seal.write(path, label, content)
    assert seal.read(path, label) == content
    sealed = bytearray(path.read_bytes())
    # The five bytes before the nonce are the format's name, which the label binds, not the file.
    sealed[5 + place % (len(sealed) - 5)] ^= flip
    path.write_bytes(sealed)
    with pytest.raises(KeyStoreUnavailable):
        seal.read(path, label)


def test_a_truncated_file_does_not_open(store: SoftwareKeyStore, tmp_path: Path) -> None:
    store.generate(b"\x01", "label", "EC-P256")
    path = tmp_path / "store" / "keys" / "01.key"
    path.write_bytes(path.read_bytes()[:8])
    with pytest.raises(KeyStoreUnavailable):
        store.describe(b"\x01")


def test_two_processes_make_versions_without_losing_one(store: SoftwareKeyStore, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from clients.keystores.software import SoftwareKeyStore\n"
        "store = SoftwareKeyStore('codec', Path(sys.argv[1]), bytes.fromhex(sys.stdin.read()))\n"
        "print([store.put_secret('payload', b'value') for _ in range(20)])"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "store")]
    writers = [
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(MASTER.hex())
        writer.stdin.close()
    for writer in writers:
        assert writer.wait(60) == 0
        assert writer.stdout is not None
        writer.stdout.close()
    assert store.secret_versions("payload") == tuple(range(1, 41))


def test_a_process_that_stands_still_with_the_lock_holds_nobody_up_for_ever(
    store: SoftwareKeyStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clients.keystores.software._LOCK_WAIT_S", 0.1)
    store.put_secret("payload", b"one")
    with (tmp_path / "store" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(KeyStoreUnavailable, match="does not come to an end"):
            store.put_secret("payload", b"two")
    assert store.put_secret("payload", b"two") == 2

"""References lead to values, or to an error that says why not and repeats no value."""

import os
from pathlib import Path

import pytest

from clients.secrets.files import MAX_SECRET_BYTES, store_file
from clients.secrets.resolver import Secrets
from clients.secrets.weak import why_refused
from schemas.errors import InvalidReference

CANARY = b"canary-4f1d9c"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "pin"
    store_file(path, CANARY + b"\n")
    return path


def refusal(reference: str) -> str:
    with pytest.raises(InvalidReference) as caught:
        Secrets().resolve(reference)
    assert CANARY.decode() not in str(caught.value)
    return caught.value.detail


def test_a_file_is_read_without_its_newline(secret: Path) -> None:
    assert Secrets().resolve(f"file:{secret}") == CANARY


def test_a_file_is_read_anew_each_time(secret: Path) -> None:
    source = Secrets()
    source.resolve(f"file:{secret}")
    secret.write_bytes(b"rotated-71b2")
    assert source.resolve(f"file:{secret}") == b"rotated-71b2"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o700, 0o620, 0o666])
def test_a_file_that_others_may_touch_is_refused(secret: Path, mode: int) -> None:
    secret.chmod(mode)
    assert "wider than 0600" in refusal(f"file:{secret}")


def test_a_tighter_file_is_taken(secret: Path) -> None:
    secret.chmod(0o400)
    assert Secrets().resolve(f"file:{secret}") == CANARY


def test_a_link_is_refused(secret: Path) -> None:
    link = secret.with_name("link")
    link.symlink_to(secret)
    assert "symbolic link" in refusal(f"file:{link}")


def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert "not a regular file" in refusal(f"file:{tmp_path / 'fifo'}")
    assert "not a regular file" in refusal(f"file:{tmp_path}")


def test_a_missing_file_is_named_without_its_folder(tmp_path: Path) -> None:
    detail = refusal(f"file:{tmp_path / 'absent'}")
    assert "absent" in detail
    assert str(tmp_path) not in detail


def test_a_file_of_another_user_is_refused(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(secret, 65534, -1) if os.geteuid() == 0 else monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert "another user" in refusal(f"file:{secret}")


def test_a_huge_file_is_refused(secret: Path) -> None:
    secret.write_bytes(b"xy" * MAX_SECRET_BYTES)
    assert "larger than" in refusal(f"file:{secret}")


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDOUBT_TEST_SECRET", CANARY.decode())
    assert Secrets().resolve("env:REDOUBT_TEST_SECRET") == CANARY
    monkeypatch.delenv("REDOUBT_TEST_SECRET")
    assert "is not set" in refusal("env:REDOUBT_TEST_SECRET")


@pytest.mark.parametrize(
    "reference", [CANARY.decode(), f"literal:{CANARY.decode()}", "file:", "env:", "vault:", ""]
)
def test_what_is_no_reference_is_refused(reference: str) -> None:
    assert "by reference" in refusal(reference)


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "\n", "0" * 64, "0000", "\0" * 32, "changeme", "Change-Me", "CHANGE_ME!", "password", "secret",
        "<your token>", "${TOKEN}", "{{ token }}", "1234", "12345678", "root", "000102030405060708090a0b0c0d0e0f",
    ],
)  # fmt: skip
def test_a_default_is_refused_wherever_it_lies(value: str, tmp_path: Path) -> None:
    store_file(tmp_path / "weak", value.encode())
    with pytest.raises(InvalidReference):
        Secrets().resolve(f"file:{tmp_path / 'weak'}")


@pytest.mark.parametrize(
    "value",
    [b"7391", b"secret-9ad1e0", b"\x00\x01", os.urandom(32), os.urandom(32).hex().encode()],
    ids=["pin", "word", "two bytes", "key", "key in hex"],
)
def test_a_value_of_ones_own_is_taken(value: bytes) -> None:
    assert why_refused(value) is None


def test_a_stored_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    store_file(tmp_path / "key", b"first")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        store_file(tmp_path / "key", b"second")
    assert (tmp_path / "key").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_stored_file_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        store_file(tmp_path / "key", b"value")
    assert not (tmp_path / "elsewhere").exists()

"""Signed notes and checkpoints: the note that Go's documentation signs, round trips, and what is refused."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.checkpoints import (
    MAX_NOTE_BYTES,
    Checkpoint,
    NoteError,
    key_id,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
    sign,
    verifier_key,
)
from store.signing import LogKey, PublicKey

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ORIGIN = "redoubt.invalid/log"
KEY = LogKey(b"\x01" * 32)
VERIFIES = PublicKey(KEY.public).verifies
CHECKPOINT = Checkpoint(ORIGIN, 3, b"\x07" * 32)


def signed(checkpoint: Checkpoint = CHECKPOINT) -> str:
    return sign(checkpoint.body(), ORIGIN, KEY.public, KEY.sign)


def test_a_note_that_another_program_signed() -> None:
    name, public = parse_verifier_key(PETER)
    note = parse_note(NOTE)
    (signature,) = note.signatures
    assert (signature.name, signature.key_id.hex()) == (name, "c74f20a3")
    assert key_id(name, public) == signature.key_id
    assert PublicKey(public).verifies(signature.value, note.body.encode())
    assert verifier_key(name, public) == PETER


@given(st.integers(0, 10**18), st.binary(min_size=32, max_size=32))
def test_what_is_signed_is_read_back(size: int, root: bytes) -> None:
    checkpoint = Checkpoint(ORIGIN, size, root)
    assert open_checkpoint(signed(checkpoint), ORIGIN, KEY.public, VERIFIES) == checkpoint


def test_signatures_of_others_are_ignored() -> None:
    witness = LogKey(b"\x02" * 32)
    other = sign(CHECKPOINT.body(), "witness.invalid", witness.public, witness.sign).rpartition("\n\n")[2]
    assert open_checkpoint(signed() + other, ORIGIN, KEY.public, VERIFIES) == CHECKPOINT
    with pytest.raises(NoteError, match="no signature is by the log's key"):
        open_checkpoint(f"{CHECKPOINT.body()}\n{other}", ORIGIN, KEY.public, VERIFIES)


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    text = bytearray(signed().encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(NoteError):
        open_checkpoint(bytes(text).decode(errors="replace"), ORIGIN, KEY.public, VERIFIES)


def test_a_checkpoint_of_another_log_under_our_key_is_refused() -> None:
    other = Checkpoint("other.invalid/log", 3, b"\x07" * 32)
    with pytest.raises(NoteError, match="of another log"):
        open_checkpoint(sign(other.body(), ORIGIN, KEY.public, KEY.sign), ORIGIN, KEY.public, VERIFIES)


SIGNATURE = f"— {ORIGIN} {base64.b64encode(bytes(68)).decode()}\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a text, an empty line and signatures"),
        (CHECKPOINT.body(), "a text, an empty line and signatures"),
        (f"a\n\n{SIGNATURE}".rstrip("\n"), "a text, an empty line and signatures"),
        ("a\n\n- name AAAAAAAA\n", "a signature line"),
        ("a\n\n— name\n", "a signature line"),
        ("a\n\n— na+me AAAAAAAA\n", "a signature line"),
        ("a\n\n— name AAAA\n", "a signature line"),
        ("a\n\n— name AAAAAAA\n", "base64"),
        ("a\n\n— name AAAAAAB=\n", "canonical form"),
        ("a\n\n— name äAAA\n", "base64"),
        (f"a\n\n{SIGNATURE * 17}", "too many signatures"),
        (f"a\x00\n\n{SIGNATURE}", "control character"),
        ("a" * MAX_NOTE_BYTES + f"\n\n{SIGNATURE}", "too long"),
    ],
)
def test_what_is_no_note(text: str, why: str) -> None:
    with pytest.raises(NoteError, match=why):
        parse_note(text)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "body",
    [
        "origin\n1\n",
        f"origin\n01\n{ROOT}\n",
        f"origin\n-1\n{ROOT}\n",
        f"origin\n99999999999999999999\n{ROOT}\n",
        f"\n1\n{ROOT}\n",
        "origin\n1\nAAAA\n",
        f"origin\n1\n{ROOT}",
    ],
)
def test_what_is_no_checkpoint(body: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(body)


def test_extension_lines_are_left_unread() -> None:
    assert parse_checkpoint(f"{CHECKPOINT.body()}timestamp 5\n") == CHECKPOINT


@pytest.mark.parametrize("text", ["", "name", "name+00000000+AAAA", PETER.replace("c74f20a3", "00000000")])
def test_what_is_no_verifier_key(text: str) -> None:
    with pytest.raises(NoteError):
        parse_verifier_key(text)

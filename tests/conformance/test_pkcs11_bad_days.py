"""A token's bad days: a wrong PIN, lost sessions, a token that is gone. SoftHSM2 for real."""

import ctypes
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, TokenFlag, exceptions

from cli.dev.servers import Token
from clients.keystores.cryptoki import Module
from clients.keystores.pkcs11 import Pkcs11KeyStore
from clients.secrets.resolver import Secrets
from schemas.errors import DependencyUnavailable, InvalidReference, KeyStoreUnavailable, PinRejected

ID = b"\x01\x02"


class Pins:
    """Counts how often a PIN was asked for."""

    def __init__(self, pin: bytes) -> None:
        self.pin = pin
        self.asked = 0

    def __call__(self) -> bytes:
        self.asked += 1
        return self.pin


@pytest.fixture
def pins(softhsm: Token) -> Pins:
    return Pins(Secrets().resolve(softhsm.pin_ref))


@pytest.fixture
def store(softhsm: Token, pins: Pins) -> Pkcs11KeyStore:
    made = Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, pins, renew_every_s=0)
    made.generate(ID, "a label", "EC-P256")
    return made


def flags(token: Token) -> TokenFlag:
    """As a fresh process sees them."""
    program = (
        "import sys, pkcs11\nprint(int(pkcs11.lib(sys.argv[1]).get_token(token_label=sys.argv[2]).flags))"
    )
    argv = [sys.executable, "-c", program, str(token.module), token.label]
    return TokenFlag(int(subprocess.run(argv, check=True, capture_output=True, timeout=60).stdout))


def close_all_sessions(store: Pkcs11KeyStore) -> None:
    """As a fault of the module would: they go behind the store's back, and the log-in with them."""

    def close(line: Any) -> None:
        library = ctypes.CDLL(str(line.module.path))
        assert library.C_CloseAllSessions(ctypes.c_ulong(line.session.token.slot.slot_id)) == 0

    store._sessions.run(close)


def test_a_wrong_pin_is_sent_once(softhsm: Token) -> None:
    wrong = Pins(b"918273645")
    store = Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, wrong, renew_every_s=0)
    assert not flags(softhsm) & TokenFlag.USER_PIN_COUNT_LOW
    for use in (
        store.check,
        store.list,
        lambda: store.generate(ID, "l", "EC-P256"),
        lambda: store.sign(ID, b"", "sha256"),
    ):
        with pytest.raises(PinRejected, match="incorrect"):
            use()
    assert wrong.asked == 1
    assert flags(softhsm) & TokenFlag.USER_PIN_COUNT_LOW
    assert not flags(softhsm) & TokenFlag.USER_PIN_LOCKED


def test_threads_with_a_wrong_pin_send_it_once(softhsm: Token) -> None:
    wrong = Pins(b"918273645")
    store = Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, wrong, renew_every_s=0)

    def refused(_: int) -> bool:
        with pytest.raises(PinRejected):
            store.check()
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(refused, range(16)))
    assert wrong.asked == 1


def test_after_a_wrong_pin_a_store_made_anew_logs_in(softhsm: Token, pins: Pins) -> None:
    with pytest.raises(PinRejected):
        Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, Pins(b"918273645")).check()
    Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, pins).check()
    assert not flags(softhsm) & TokenFlag.USER_PIN_COUNT_LOW


@pytest.mark.parametrize("flag", [TokenFlag.USER_PIN_FINAL_TRY, TokenFlag.USER_PIN_LOCKED])
def test_the_last_try_is_left_to_a_person(
    softhsm: Token, pins: Pins, monkeypatch: pytest.MonkeyPatch, flag: TokenFlag
) -> None:
    """SoftHSM2 never locks, so the flag that other tokens raise is raised for it."""
    store = Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, pins, renew_every_s=0)
    token_of = Module.token

    class LastTry:
        def __init__(self, token: pkcs11.Token) -> None:
            self.flags = token.flags | flag
            self.open = token.open

    monkeypatch.setattr(Module, "token", lambda self, label: LastTry(token_of(self, label)))
    with pytest.raises(PinRejected, match="at most one try"):
        store.check()
    assert pins.asked == 0


def test_a_pin_that_can_not_be_read_is_no_wrong_pin(softhsm: Token, pins: Pins) -> None:
    answers = [InvalidReference("env:PIN is not set."), DependencyUnavailable("Vault did not answer.")]

    def pin() -> bytes:
        if answers:
            raise answers.pop()
        return pins()

    store = Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, pin, renew_every_s=0)
    with pytest.raises(DependencyUnavailable):
        store.check()
    with pytest.raises(InvalidReference):
        store.check()
    store.check()


def test_the_pin_is_asked_for_at_log_in_only(store: Pkcs11KeyStore, pins: Pins) -> None:
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: store.sign(ID, b"data", "sha256"), range(100)))
    assert pins.asked == 1


def test_lost_sessions_are_opened_again(store: Pkcs11KeyStore, pins: Pins) -> None:
    close_all_sessions(store)
    assert store.sign(ID, b"data", "sha256")
    close_all_sessions(store)
    assert store.describe(ID).key_id == ID.hex()
    close_all_sessions(store)
    store.check()
    assert pins.asked == 4


def test_a_lost_log_in_is_no_missing_key(store: Pkcs11KeyStore) -> None:
    """Logged out, a token shows no private keys: a second one must not be made under the same ID."""

    def log_out(line: Any) -> None:
        assert ctypes.CDLL(str(line.module.path)).C_Logout(ctypes.c_ulong(line.session.handle)) == 0

    first = store.describe(ID)
    store._sessions.run(log_out)
    store._sessions.forget_handles()
    assert store.generate(ID, "another", "EC-P256") == first
    store._sessions.run(log_out)
    assert [one for one in store.list() if one.key_id == ID.hex()] == [first]


def test_a_token_that_is_gone_is_unavailable_and_comes_back(
    store: Pkcs11KeyStore, softhsm: Token, tmp_path: Path
) -> None:
    tokens = Path(softhsm.env["SOFTHSM2_CONF"]).parent / "tokens"
    (folder,) = (
        one for one in tokens.iterdir() if softhsm.label.encode() in (one / "token.object").read_bytes()
    )
    shutil.move(folder, tmp_path / "gone")
    try:
        fresh = Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, Pins(b"918273645"), renew_every_s=0)
        for use in (fresh.check, fresh.list, lambda: fresh.sign(ID, b"data", "sha256")):
            with pytest.raises(KeyStoreUnavailable):
                use()
        with pytest.raises(KeyStoreUnavailable):
            store.describe(ID)
    finally:
        shutil.move(tmp_path / "gone", folder)
    assert store.sign(ID, b"data", "sha256")


def test_a_missing_token_does_not_renew_the_module_each_time(softhsm: Token, pins: Pins) -> None:
    """A renewal costs the other stores on the module their sessions."""
    missing = Pkcs11KeyStore("other", softhsm.module, "no-such-token", pins, renew_every_s=3600)
    module = Module.of(softhsm.module)
    before = module.generation
    for _ in range(5):
        with pytest.raises(KeyStoreUnavailable, match="NoSuchToken"):
            missing.check()
    assert module.generation == before + 1


def test_a_module_that_is_none_is_unavailable(tmp_path: Path, pins: Pins) -> None:
    (tmp_path / "module.so").write_bytes(b"no library")
    for path in (tmp_path / "module.so", tmp_path / "absent.so"):
        store = Pkcs11KeyStore("hsm", path, "token", pins)
        with pytest.raises(KeyStoreUnavailable, match="PKCS#11 module"):
            store.check()


def test_the_private_half_can_be_neither_read_nor_wrapped(store: Pkcs11KeyStore) -> None:
    def look(line: Any) -> None:
        key = store._found(line, ID)
        for promised in ("SENSITIVE", "ALWAYS_SENSITIVE", "NEVER_EXTRACTABLE", "LOCAL", "SIGN"):
            assert key[Attribute[promised]], promised
        for refused in ("EXTRACTABLE", "DECRYPT", "UNWRAP", "DERIVE"):
            assert not key[Attribute[refused]], refused
        with pytest.raises(exceptions.AttributeSensitive):
            key[Attribute.VALUE]
        wrapping = line.session.generate_key(
            pkcs11.KeyType.AES, 256, capabilities=pkcs11.MechanismFlag.WRAP | pkcs11.MechanismFlag.UNWRAP
        )
        with pytest.raises((exceptions.KeyUnextractable, exceptions.KeyNotWrappable)):
            wrapping.wrap_key(key, mechanism=pkcs11.Mechanism.AES_KEY_WRAP)
        for attribute in (Attribute.EXTRACTABLE, Attribute.SENSITIVE):
            with pytest.raises(exceptions.PKCS11Error):
                key[attribute] = attribute is Attribute.EXTRACTABLE

    store._sessions.run(look)


def test_the_uri_names_token_and_key_and_no_pin(store: Pkcs11KeyStore, softhsm: Token, pins: Pins) -> None:
    uri = store.uri(ID)
    assert uri == f"pkcs11:token={softhsm.label};id=%01%02;type=private"
    assert pins.pin.decode() not in uri


def test_four_threads_do_not_crash_the_module(softhsm: Token) -> None:
    """In a process of its own, since a crash would take this one along."""
    program = (
        "import sys, threading\n"
        "from clients.keystores.pkcs11 import Pkcs11KeyStore\n"
        "from clients.secrets.resolver import Secrets\n"
        "store = Pkcs11KeyStore('hsm', sys.argv[1], sys.argv[2], lambda: Secrets().resolve(sys.argv[3]))\n"
        "store.generate(b'k', 'l', 'EC-P256')\n"
        "count = []\n"
        "def sign():\n"
        "    for _ in range(500): count.append(store.sign(b'k', b'data', 'sha256'))\n"
        "threads = [threading.Thread(target=sign) for _ in range(4)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "print(len(count))\n"
    )
    argv = [sys.executable, "-c", program, str(softhsm.module), softhsm.label, softhsm.pin_ref]
    done = subprocess.run(argv, capture_output=True, timeout=120, check=False, env=dict(os.environ))
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"2000", b"")


def test_a_renewal_of_the_module_waits_for_those_inside(store: Pkcs11KeyStore, softhsm: Token) -> None:
    module = Module.of(softhsm.module)

    def renew(_: int) -> None:
        module.renew(module.generation)

    with ThreadPoolExecutor(6) as threads:
        signatures = [threads.submit(store.sign, ID, b"data", "sha256") for _ in range(200)]
        list(threads.map(renew, range(5)))
        assert all(one.result() for one in signatures)

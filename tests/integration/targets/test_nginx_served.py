"""nginx through renewals: fifty connections a second, none of which fails, with keys in files and in a token."""

import contextlib
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cli.dev.nginx import Nginx
from cli.dev.process import free_port
from cli.dev.servers import Token
from clients.keystores.pkcs11 import Pkcs11KeyStore
from clients.probes.tls import TlsProber
from clients.probes.waiting import wait_until_served
from clients.targets import Bundle
from clients.targets.files import FilesTarget
from schemas.errors import ReloadFailed, VerificationFailed
from tests.integration.targets.clients50 import connecting
from tests.integration.targets.material import (
    NAME,
    TestCa,
    configured,
    fingerprint,
    going,
    ordered,
    renew,
    undoing,
)

RENEWALS = 5
WORKERS = 2
"""As `cli.dev.nginx` configures it."""


@pytest.fixture
def ca() -> TestCa:
    return TestCa()


@pytest.fixture
def with_files(tmp_path: Path) -> Iterator[Nginx]:
    yield from _started(Nginx(tmp_path / "nginx", free_port(), tmp_path / "target"))


@pytest.fixture
def with_token(tmp_path: Path, softhsm: Token) -> Iterator[Nginx]:
    yield from _started(Nginx(tmp_path / "nginx", free_port(), tmp_path / "target", token=softhsm))


def _started(server: Nginx) -> Iterator[Nginx]:
    try:
        yield server.start()
    finally:
        server.stop()


def shows(server: Nginx, version: str, ca: TestCa) -> None:
    shown = wait_until_served(
        TlsProber(), "127.0.0.1", server.port, NAME, ca.root, expected=version, within_s=30, beat=lambda: None
    )
    assert shown.trusted


def workers(server: Nginx) -> int:
    """A worker that hangs in the token's library never ends."""
    pid = server.child.pid
    return len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


def order_in(token: Token, ca: TestCa, number: int) -> Bundle:
    """A new key in the token, made by a process that is not nginx, and a certificate for it."""
    key_id, store = secrets.token_bytes(20), _store(token)
    facts = store.generate(key_id, f"key-{number}", "EC-P256")
    key = serialization.load_der_public_key(facts.public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    chain = ca.issue(key)
    return Bundle(version=fingerprint(chain), fullchain=chain, key_id=key_id.hex(), key_uri=store.uri(key_id))


def _store(token: Token) -> Pkcs11KeyStore:
    return Pkcs11KeyStore("token", token.module, token.label, token.pin_file.read_bytes)


def for_token(folder: Path, server: Nginx, token: Token) -> FilesTarget:
    return FilesTarget(configured(folder, server.reload, pin_file=str(token.pin_file)))


def renewals_and_undos(
    server: Nginx, target: FilesTarget, ca: TestCa, bundles: Callable[[int], Bundle]
) -> tuple[list[str], list[str], int]:
    """Renew, and put every second one back, under the client; what was seen, what failed, how many went well."""
    first = bundles(0)
    target.stage(first, going(1))
    target.switch(first.version, going(1))
    shows(server, first.version, ca)
    current, versions = first.version, [first.version]
    with connecting(server.port) as count:
        for number in range(1, RENEWALS + 1):
            bundle, fence = bundles(number), going(number + 1)
            target.stage(bundle, fence)
            target.switch(bundle.version, fence)
            shows(server, bundle.version, ca)
            versions.append(bundle.version)
            if number % 2:
                target.switch_back(current, undoing(number + 1))
                shows(server, current, ca)
            else:
                current = bundle.version
    assert count.seen == set(versions)
    return versions, count.failed, count.done


def test_no_handshake_fails_with_keys_in_files(with_files: Nginx, ca: TestCa, tmp_path: Path) -> None:
    target = FilesTarget(configured(tmp_path, with_files.reload, check=with_files.check))
    versions, failed, done = renewals_and_undos(
        with_files, target, ca, lambda number: ordered(target, ca, f"{number:04x}")
    )
    assert failed == []
    assert len(versions) == RENEWALS + 1
    assert done > 100


def test_no_handshake_fails_with_new_keys_in_a_token(
    with_token: Nginx, ca: TestCa, tmp_path: Path, softhsm: Token
) -> None:
    target = for_token(tmp_path, with_token, softhsm)
    versions, failed, done = renewals_and_undos(
        with_token, target, ca, lambda number: order_in(softhsm, ca, number)
    )
    assert failed == []
    assert len(versions) == RENEWALS + 1
    assert done > 100
    with_token.child.wait_until(lambda: workers(with_token) == WORKERS, 30, "rid of its old workers")
    pin = softhsm.pin_file.read_bytes()
    readable = [file for file in (tmp_path / "target").rglob("*") if file.is_file()]
    assert not [file for file in readable if pin in file.read_bytes() or b"PRIVATE KEY" in file.read_bytes()]


def test_a_token_file_that_is_half_written_at_a_reload_harms_no_handshake(
    with_token: Nginx, ca: TestCa, tmp_path: Path, softhsm: Token
) -> None:
    """SoftHSM empties a token's file and unlocks it before it fills it: at each log-in of any process."""
    target = for_token(tmp_path, with_token, softhsm)
    first, second = order_in(softhsm, ca, 1), order_in(softhsm, ca, 2)
    target.stage(first, going(1))
    target.stage(second, going(2))
    with _half_written(softhsm):
        target.switch(first.version, going(2))
        shows(with_token, first.version, ca)
    with connecting(with_token.port) as count, _half_written(softhsm):
        target.switch(second.version, going(2))
        shows(with_token, second.version, ca)
    assert count.failed == []


@contextlib.contextmanager
def _half_written(token: Token) -> Iterator[None]:
    file = _token_file(token)
    whole = file.read_bytes()
    file.write_bytes(b"")
    try:
        yield
    finally:
        file.write_bytes(whole)


def _token_file(token: Token) -> Path:
    configuration = Path(token.env["SOFTHSM2_CONF"]).read_text()
    (line,) = (line for line in configuration.splitlines() if line.startswith("directories.tokendir"))
    files = Path(line.partition("=")[2].strip()).glob("*/token.object")
    (file,) = (file for file in files if token.label.encode() in file.read_bytes())
    return file


def test_a_key_that_is_gone_from_the_token_leaves_the_old_one_served(
    with_token: Nginx, ca: TestCa, tmp_path: Path, softhsm: Token
) -> None:
    """A key that can't be loaded leaves the old workers; the handshake alone shows it, and the way back is free."""
    target = for_token(tmp_path, with_token, softhsm)
    first, second, third = (order_in(softhsm, ca, number) for number in range(3))
    for operation, bundle in enumerate((first, second, third), start=1):
        target.stage(bundle, going(operation))
    target.switch(first.version, going(3))
    shows(with_token, first.version, ca)
    _store(softhsm).destroy(bytes.fromhex(second.key_id))
    target.switch(second.version, going(3))
    with pytest.raises(VerificationFailed, match=f"it serves {first.version[:16]}"):
        wait_until_served(
            TlsProber(),
            "127.0.0.1",
            with_token.port,
            NAME,
            ca.root,
            expected=second.version,
            within_s=2,
            beat=lambda: None,
        )
    target.switch_back(first.version, undoing(3))
    shows(with_token, first.version, ca)
    target.switch(third.version, going(4))
    shows(with_token, third.version, ca)


def test_it_listens_and_refuses_before_the_first_certificate(
    with_files: Nginx, ca: TestCa, tmp_path: Path
) -> None:
    with pytest.raises(VerificationFailed, match="refused a TLS handshake"):
        TlsProber().handshake("127.0.0.1", with_files.port, NAME, ca.root, 5)
    target = FilesTarget(configured(tmp_path, with_files.reload, check=with_files.check))
    version = renew(target, ca, 1)
    target.switch(version, going(1))
    shows(with_files, version, ca)


def test_a_check_names_what_nginx_does_not_like(with_files: Nginx, ca: TestCa, tmp_path: Path) -> None:
    target = FilesTarget(configured(tmp_path, with_files.reload, check=with_files.check))
    version = renew(target, ca, 1)
    (tmp_path / "target/versions" / version / "fullchain.pem").write_text("nonsense")
    with pytest.raises(ReloadFailed, match=r"check command failed .*cannot load certificate"):
        target.switch(version, going(1))


def test_it_answers_challenges_from_the_webroot(tmp_path: Path) -> None:
    webroot = tmp_path / "webroot"
    token = webroot / ".well-known/acme-challenge/token"
    token.parent.mkdir(parents=True)
    token.write_text("authorization")
    server = Nginx(
        tmp_path / "nginx", free_port(), tmp_path / "target", http_port=free_port(), webroot=webroot
    )
    try:
        server.start()
        answer = httpx.get(
            f"http://127.0.0.1:{server.http_port}/.well-known/acme-challenge/token", timeout=10
        )
    finally:
        server.stop()
    assert (answer.status_code, answer.content) == (200, b"authorization")

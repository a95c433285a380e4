"""Every kind of target, each with a look into its service, and with hands that change things behind its back."""

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hvac
import pytest

from cli.dev.nginx import Nginx
from cli.dev.process import free_port
from clients.probes.tls import TlsProber
from clients.probes.waiting import wait_until_served
from clients.targets import Bundle, Target, keys
from clients.targets.files import FilesTarget
from schemas.errors import VerificationFailed
from tests.conftest import VaultServer
from tests.integration.targets.elsewhere import in_kubernetes, in_vault, with_program_over_ssh
from tests.integration.targets.material import (
    NAME,
    TestCa,
    configured,
    fingerprint,
    going,
    served,
    with_program,
)
from tests.servers.kubernetes import Kubernetes
from tests.servers.sshd import Sshd


def _nothing_to_break() -> None:
    raise AssertionError("this kind has no service of its own")


@dataclass
class Case:
    """An implementation, with a look into its service and a way to break it."""

    target: Target
    folder: Path
    ca: TestCa
    serves: Callable[[str | None], None]
    """Assert that the service shows this version (None: none at all)."""
    put_certificate: Callable[[bytes], None]
    """What someone else does: another certificate in place of the one in use."""
    put_key: Callable[[bytes], None]
    break_service: Callable[[], None] = _nothing_to_break
    mend_service: Callable[[], None] = _nothing_to_break

    def order(self, key_id: str) -> Bundle:
        chain = self.ca.answer(self.target.make_key(key_id, "EC-P256", (NAME,)))
        return Bundle(version=fingerprint(chain), fullchain=chain, key_id=key_id, key_uri=None)

    def staged(self, operation: int) -> str:
        bundle = self.order(f"{operation:04x}")
        self.target.stage(bundle, going(operation))
        return bundle.version


def _program(folder: Path, _request: pytest.FixtureRequest) -> Iterator[Case]:
    yield _with_program(folder, with_program(folder, keep_versions=1))


def _over_ssh(folder: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    server: Sshd = request.getfixturevalue("sshd")
    target = with_program_over_ssh(folder, server.login(), keep_versions=1)
    yield _with_program(folder, target)
    target.close()


def _with_program(folder: Path, target: Target) -> Case:
    def serves(version: str | None) -> None:
        assert served(folder)[-1] == (version or "nothing")

    broken = folder / "broken"
    return Case(target, folder, TestCa(), serves, *_hands(folder), broken.touch, broken.unlink)


def _hands(folder: Path) -> tuple[Callable[[bytes], None], Callable[[bytes], None]]:
    current = folder / "target" / "current"
    return (
        lambda chain: _write(current / "fullchain.pem", chain),
        lambda key: _write(current / "key.pem", key),
    )


def _nginx(folder: Path, _request: pytest.FixtureRequest) -> Iterator[Case]:
    server, ca, prober = Nginx(folder / "nginx", free_port(), folder / "target"), TestCa(), TlsProber()
    configuration = folder / "nginx" / "nginx.conf"

    def serves(version: str | None) -> None:
        where = ("127.0.0.1", server.port, NAME, ca.root)
        if version:
            shown = wait_until_served(prober, *where, expected=version, within_s=60, beat=lambda: None)
            assert shown.trusted
        else:
            _refuses(lambda: prober.handshake(*where, 5))

    server.start()
    good = configuration.read_bytes()
    settings = configured(folder, server.reload, check=server.check, keep_versions=1)
    try:
        yield Case(
            FilesTarget(settings),
            folder,
            ca,
            serves,
            *_hands(folder),
            lambda: _write(configuration, good + b"nonsense;\n"),
            lambda: _write(configuration, good),
        )
    finally:
        server.stop()


def _in_vault(folder: Path, request: pytest.FixtureRequest) -> Iterator[Case]:
    server: VaultServer = request.getfixturevalue("vault")
    path = f"targets/{secrets.token_hex(8)}"
    client = hvac.Client(server.address, server.token_file.read_text())
    kv = client.secrets.kv.v2

    def held() -> dict[str, str]:
        return dict(kv.read_secret_version(path, raise_on_deleted_version=True)["data"]["data"])

    def put(**changed: str) -> None:
        kv.create_or_update_secret(path, {**held(), **changed})

    target = in_vault(server.address, f"file:{server.token_file}", path, keep_versions=1)
    yield Case(
        target,
        folder,
        TestCa(),
        lambda version: _readable(version, held()["certificate"], held()["private_key"]),
        lambda chain: put(certificate=chain.decode()),
        lambda key: put(private_key=key.decode()),
    )
    client.adapter.close()


def _in_kubernetes(folder: Path, _request: pytest.FixtureRequest) -> Iterator[Case]:
    api = Kubernetes(folder)
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(api.token)

    def held(name: str) -> str:
        return b64decode(api.objects["www"]["data"][name]).decode()

    def put(name: str, value: bytes) -> None:
        """As `kubectl apply` does it: the annotations stay, the revision goes on."""
        changed = json.loads(json.dumps(api.objects["www"]))
        changed["data"][name] = b64encode(value).decode()
        url = "/api/v1/namespaces/edge/secrets/www"
        code, _ = api.answer("PUT", url, f"Bearer {api.token}", json.dumps(changed).encode())
        assert code == 200

    yield Case(
        in_kubernetes(api.address, str(api.ca_file), f"file:{token}", keep_versions=1),
        folder,
        TestCa(),
        lambda version: _readable(version, held("tls.crt"), held("tls.key")),
        lambda chain: put("tls.crt", chain),
        lambda key: put("tls.key", key),
    )
    api.stop()


def _readable(version: str | None, certificate: str, key: str) -> None:
    """What a reader of the secret finds: a pair that belongs together, or nothing."""
    if version is None:
        assert (certificate, key) == ("", "")
        return
    leaf = keys.leaf(certificate.encode())
    assert keys.fingerprint(leaf) == version
    assert keys.belong_together(leaf, keys.load(key.encode()))


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)


def _refuses(handshake: Callable[[], object]) -> None:
    """Old workers may still answer for a moment: ask until the handshake is refused."""
    for _ in range(500):
        try:
            handshake()
        except VerificationFailed:
            return
    pytest.fail("it still serves a certificate")


CASES: dict[str, Callable[[Path, pytest.FixtureRequest], Iterator[Case]]] = {
    "files+program": _program,
    "files+nginx": _nginx,
    "ssh-files": _over_ssh,
    "vault-kv": _in_vault,
    "kubernetes-secret": _in_kubernetes,
}

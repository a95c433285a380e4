"""A Vault of one's own with TLS, which a test may seal."""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hvac
import pytest

from cli.dev.listener import write_loopback_certificate
from cli.dev.process import Child, free_port, listening
from clients.tools import find


@dataclass(frozen=True)
class OwnVault:
    address: str
    ca_file: Path
    root: hvac.Client
    unseal_key: str


@pytest.fixture(scope="module")
def own_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnVault]:
    folder, port = tmp_path_factory.mktemp("vault"), free_port()
    ca_file, certificate, key = folder / "ca.pem", folder / "server.pem", folder / "server-key.pem"
    write_loopback_certificate(ca_file, certificate, key)
    address = f"127.0.0.1:{port}"
    listener = {"address": address, "tls_cert_file": str(certificate), "tls_key_file": str(key)}
    config = {"storage": {"inmem": {}}, "listener": {"tcp": listener}, "disable_mlock": True}
    (folder / "vault.json").write_text(json.dumps({**config, "api_addr": f"https://{address}"}))
    argv: list[str | Path] = [find("vault"), "server", "-config", folder / "vault.json"]
    child = Child("vault", argv, folder / "vault.log", {"HOME": str(folder)})
    child.start()
    try:
        child.wait_until(lambda: listening(port), 60, "ready")
        root = hvac.Client(f"https://{address}", "", verify=str(ca_file))
        made = root.sys.initialize(1, 1)
        root.sys.submit_unseal_key(made["keys"][0])
        root.token = made["root_token"]
        await_unsealed(root)
        yield OwnVault(f"https://{address}", ca_file, root, made["keys"][0])
    finally:
        child.stop()


def await_unsealed(root: hvac.Client) -> None:
    """Until it is active: right after the key it still loads what it holds."""
    deadline = time.monotonic() + 60
    while not isinstance(root.adapter.request("get", "/v1/sys/health", raise_exception=False), dict):
        assert time.monotonic() < deadline, "it did not become active"
        time.sleep(0.05)


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[str], str]:
    """Keep a secret in a file; returns the reference to it."""

    def keep(value: str) -> str:
        path = tmp_path / secrets.token_hex(4)
        path.touch(mode=0o600)
        path.write_text(value)
        return f"file:{path}"

    return keep

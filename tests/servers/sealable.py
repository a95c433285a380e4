"""A real Vault of a test's own, with TLS, which the test may seal and unseal."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hvac

from cli.dev.listener import write_loopback_certificate
from cli.dev.process import Child, free_port, listening
from clients.tools import find


@dataclass(frozen=True)
class OwnVault:
    address: str
    ca_file: Path
    root: hvac.Client
    unseal_key: str

    def seal(self) -> None:
        self.root.sys.seal()

    def unseal(self) -> None:
        """Until it is active: right after the key it still loads what it holds."""
        self.root.sys.submit_unseal_key(self.unseal_key)
        deadline = time.monotonic() + 60
        while not isinstance(self.root.adapter.request("get", "/v1/sys/health", raise_exception=False), dict):
            assert time.monotonic() < deadline, "it did not become active"
            time.sleep(0.05)


@contextlib.contextmanager
def own_vault(folder: Path) -> Iterator[OwnVault]:
    port = free_port()
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
        root.token = made["root_token"]
        vault = OwnVault(f"https://{address}", ca_file, root, made["keys"][0])
        vault.unseal()
        yield vault
    finally:
        child.stop()

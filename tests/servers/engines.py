"""A PKI engine of a test's own in the real Vault: a root, a role, and where its list is."""

import secrets
from dataclasses import dataclass
from pathlib import Path

import hvac
from cryptography import x509

from clients.issuers.vault_pki import VaultPki
from clients.secrets.resolver import Secrets
from clients.secrets.vault_session import VaultSession
from schemas.settings.issuers import VaultPkiIssuer
from tests.conftest import VaultServer


@dataclass(frozen=True)
class Engine:
    server: VaultServer
    root: hvac.Client
    mount: str

    @classmethod
    def made(cls, server: VaultServer, **role: object) -> "Engine":
        trust = True if server.ca_file is None else str(server.ca_file)
        root = hvac.Client(server.address, server.token_file.read_text(), verify=trust)
        engine = cls(server, root, f"pki-{secrets.token_hex(4)}")
        root.sys.enable_secrets_engine("pki", path=engine.mount, config={"max_lease_ttl": "87600h"})
        engine.write("root/generate/internal", common_name="Test root", ttl="8760h", key_type="ec")
        engine.write("config/urls", crl_distribution_points=[engine.crl_url])
        allowed = {"allow_any_name": True, "enforce_hostnames": False, "key_type": "any", "ttl": "24h"}
        engine.write("roles/servers", **{**allowed, **role})
        return engine

    @property
    def crl_url(self) -> str:
        return f"{self.server.address}/v1/{self.mount}/crl"

    def write(self, path: str, **values: object) -> None:
        self.root.adapter.post(f"/v1/{self.mount}/{path}", json=values)

    def settings(self, folder: Path) -> VaultPkiIssuer:
        token = {"kind": "token", "token": f"file:{self.server.token_file}"}
        ca_file = None if self.server.ca_file is None else str(self.server.ca_file)
        vault = {"address": self.server.address, "ca_file": ca_file, "login": token}
        return VaultPkiIssuer.model_validate(
            {
                "kind": "vault-pki",
                "path": str(folder / "orders"),
                "vault": vault,
                "mount": self.mount,
                "role": "servers",
            }
        )

    def issuer(self, folder: Path, name: str = "vault") -> VaultPki:
        given = self.settings(folder)
        return VaultPki(name, given, VaultSession(f"the issuer {name}", given.vault, Secrets()))

    def issued(self) -> int:
        """How many certificates Vault has stored, beside its own root."""
        return len(self.root.adapter.list(f"/v1/{self.mount}/certs")["data"]["keys"]) - 1

    def revoked(self, chain: bytes) -> bool:
        serial = f"{x509.load_pem_x509_certificate(chain).serial_number:x}"
        serial = serial.zfill(len(serial) + len(serial) % 2)
        shown = ":".join(serial[at : at + 2] for at in range(0, len(serial), 2))
        read = self.root.adapter.get(f"/v1/{self.mount}/cert/{shown}")
        return bool(read["data"]["revocation_time"])

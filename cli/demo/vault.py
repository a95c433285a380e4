"""The claim about Vault: its PKI engine signs for a service, and a worker is let in by a secret that opens once."""

import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from cli.demo.issuers import SHOP
from cli.demo.oracle import served
from cli.demo.proofs import Proof, expect
from cli.demo.renewing import Renewing
from cli.dev import layout
from cli.dev.process import free_port
from cli.dev.servers import VaultDev, start_vault
from clients.secrets.files import store_file

_ROLE = "redoubt"
_POLICY = """
path "pki/sign/servers" { capabilities = ["update"] }
path "pki/revoke" { capabilities = ["update"] }
path "pki/certs" { capabilities = ["list"] }
path "pki/cert/*" { capabilities = ["read"] }
"""
"""What a worker may do there, and nothing else."""


class VaultPki(Renewing):
    def signs(self, p: Proof) -> None:
        folder = self.stack.folder / "vault"
        folder.mkdir(mode=0o700)
        vault = start_vault(folder, free_port(), secrets.token_urlsafe(24))
        try:
            root, spent = self._with(folder, vault)
            before = self._shown_by_shop(self.stack.roots)
            code, ended = self._run(p, force=True, certificate="shop")
            expect(code == 0, f"the run failed: {ended}")
            after = self._shown_by_shop(root)
            expect(after not in {"", before}, f"shown is {after or 'nothing that verifies'}")
            expect(spent(), "the wrapped secret can still be opened")
            p.seen = f"{after[:12]} chains to Vault's root; the wrapped secret ID can't be opened again"
        finally:
            vault.child.stop()

    def _with(self, folder: Path, vault: VaultDev) -> tuple[Path, Any]:
        """Set Vault up, and let the worker use it; returns its root, and what tells if the log-in's secret is spent."""
        import hvac  # noqa: PLC0415 - loads only for this claim

        admin = hvac.Client(vault.address, vault.token)
        admin.sys.enable_secrets_engine("pki", path="pki", config={"max_lease_ttl": "8760h"})
        made = {"common_name": "Demo root", "ttl": "8760h", "key_type": "ec"}
        root = folder / "root.pem"
        answer = admin.adapter.post("/v1/pki/root/generate/internal", json=made)
        root.write_text(answer["data"]["certificate"], encoding="ascii")
        names = {
            "allowed_domains": ["example.com"],
            "allow_subdomains": True,
            "key_type": "ec",
            "ttl": "720h",
        }
        admin.adapter.post("/v1/pki/roles/servers", json=names)
        admin.sys.create_or_update_policy(_ROLE, _POLICY)
        admin.sys.enable_auth_method("approle")
        admin.adapter.post(f"/v1/auth/approle/role/{_ROLE}", json={"token_policies": [_ROLE]})
        role_id = admin.adapter.get(f"/v1/auth/approle/role/{_ROLE}/role-id")["data"]["role_id"]
        wrapping = admin.adapter.post(f"/v1/auth/approle/role/{_ROLE}/secret-id", wrap_ttl="10m")
        token = str(wrapping["wrap_info"]["token"])
        store_file(folder / "role-id", role_id.encode("ascii"))
        store_file(folder / "wrapped-secret-id", token.encode("ascii"))
        self._settle(folder, vault.address)

        def spent() -> bool:
            with suppress(hvac.exceptions.InvalidRequest):
                hvac.Client(vault.address, token).sys.unwrap()
                return False
            return True

        return root, spent

    def _settle(self, folder: Path, address: str) -> None:
        """The shop's certificate comes from Vault from now on."""
        file = self.stack.folder / layout.SETTINGS
        document = yaml.safe_load(file.read_text("utf-8"))
        login = {
            "kind": "approle",
            "role": _ROLE,
            "role_id": f"file:{folder / 'role-id'}",
            "secret_id": f"file:{folder / 'wrapped-secret-id'}",
        }
        document["issuers"]["vault"] = {
            "kind": "vault-pki",
            "path": str(folder / "orders"),
            "vault": {"address": address, "login": login},
            "role": "servers",
        }
        document["certificates"]["shop"]["issuers"] = ["vault"]
        file.write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
        self._worker().stop()
        self._worker().start()

    def _shown_by_shop(self, roots: Path) -> str:
        """Empty where nothing is shown that verifies against these."""
        try:
            return served(self.stack.ports.shop, SHOP, roots)
        except OSError:
            return ""

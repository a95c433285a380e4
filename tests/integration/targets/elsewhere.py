"""Targets that are not on this host; each library loads when a target of its kind is first made."""
# ruff: noqa: PLC0415

from pathlib import Path
from typing import TYPE_CHECKING

from clients.secrets.resolver import Secrets
from schemas.settings import targets
from schemas.settings.targets import SshLogin
from tests.integration.targets.material import reload_program

if TYPE_CHECKING:
    from clients.targets.secret import SecretTarget
    from clients.targets.ssh_files import SshFilesTarget


def with_program_over_ssh(folder: Path, login: SshLogin, **more: object) -> "SshFilesTarget":
    """The same target and program, reached over SSH; its host is closed by who made it."""
    (folder / "target").mkdir(mode=0o700, exist_ok=True)
    from clients.hosts.ssh import SshHost
    from clients.targets.ssh_files import SshFilesTarget

    settings = targets.SshFilesTarget.model_validate(
        {
            "kind": "ssh-files",
            "name": "web-1",
            "ssh": login.model_dump(),
            "directory": str(folder / "target"),
            "reload": reload_program(folder),
            "verify": {"host": "127.0.0.1", "port": 1},
            **more,
        }
    )
    return SshFilesTarget(settings, SshHost(login, Secrets()))


def in_vault(address: str, token: str, path: str, **more: object) -> "SecretTarget":
    """A target in Vault's KV; `token` is a reference."""
    return in_vault_by({"kind": "token", "token": token}, address, path, **more)


def in_vault_by(login: dict[str, object], address: str, path: str, **more: object) -> "SecretTarget":
    """The same, by any way in."""
    from clients.secrets.vault_session import VaultSession
    from clients.targets.secret import SecretTarget
    from clients.targets.vault_kv import VaultShelf

    given = {"kind": "vault-kv", "name": "web-1", "vault": {"address": address, "login": login}, "path": path}
    settings = targets.VaultKvTarget.model_validate({**given, **more})
    session = VaultSession("the test", settings.vault, Secrets())
    return SecretTarget("web-1", VaultShelf(settings, session), settings.keep_versions)


def in_kubernetes(server: str, ca_file: str, token: str, **more: object) -> "SecretTarget":
    """A target in a Secret `www`; `token` is a reference."""
    from clients.targets.kubernetes_secret import KubernetesShelf
    from clients.targets.secret import SecretTarget

    given = {"kind": "kubernetes-secret", "name": "web-1", "secret": "www", "namespace": "edge"}
    settings = targets.KubernetesSecretTarget.model_validate(
        {**given, "server": server, "ca_file": ca_file, "token": token, **more}
    )
    return SecretTarget("web-1", KubernetesShelf(settings, Secrets()), settings.keep_versions)

"""From a target's settings to its client: each library loads when the first target of its kind is asked for."""
# ruff: noqa: PLC0415 - each library loads when a target first needs it

from collections.abc import Callable
from typing import TYPE_CHECKING

from schemas.settings.targets import (
    FilesTarget,
    KubernetesSecretTarget,
    SshFilesTarget,
    TargetSettings,
    VaultKvTarget,
)
from schemas.settings.vault import VaultServer

if TYPE_CHECKING:
    from clients.secrets import SecretSource
    from clients.secrets.vault_session import VaultSession
    from clients.targets import Target


def made(
    given: TargetSettings,
    secrets: "SecretSource",  # pragma: allowlist secret
    vault: "Callable[[VaultServer], VaultSession]",
) -> "Target":
    """`vault` gives the one log-in to a Vault that everything in this process shares."""
    match given:
        case FilesTarget():
            from clients.targets.files import FilesTarget as Files

            return Files(given, secrets)
        case SshFilesTarget():
            from clients.hosts.ssh import SshHost
            from clients.targets.ssh_files import SshFilesTarget as SshFiles

            return SshFiles(given, SshHost(given.ssh, secrets, given.jump))
        case VaultKvTarget():
            from clients.targets.secret import SecretTarget
            from clients.targets.vault_kv import VaultShelf

            return SecretTarget(given.name, VaultShelf(given, vault(given.vault)), given.keep_versions)
        case KubernetesSecretTarget():
            from clients.targets.kubernetes_secret import KubernetesShelf
            from clients.targets.secret import SecretTarget

            return SecretTarget(given.name, KubernetesShelf(given, secrets), given.keep_versions)

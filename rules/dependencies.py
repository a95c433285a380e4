"""What a setting depends on, as the name of its breaker: the thing itself, whatever the settings call it.

- Two settings that lead to one server, token or host share a breaker: it is that which fails. Two that have one name
  and lead to different ones share none.
- A name is KIND/WHERE: `ca/acme.example/directory`, `vault/vault.example:8200`, `token/LABEL@MODULE`,
  `host/web-1:22`, `kubernetes/api.example:6443`, `folder/srv/tls` (here), or `dns`. It names nothing secret.
"""

from typing import Final
from urllib.parse import urlsplit

from schemas.settings.issuers import AcmeIssuer, IssuerSettings, VaultPkiIssuer
from schemas.settings.key_stores import Pkcs11Store
from schemas.settings.targets import (
    FilesTarget,
    KubernetesSecretTarget,
    SshFilesTarget,
    SshLogin,
    TargetSettings,
    VaultKvTarget,
)

DNS: Final = "dns"
"""The name servers of `resolver`."""
_PORTS: Final = {"https": ":443", "http": ":80"}


def of_issuer(given: IssuerSettings) -> str | None:
    """None: our own CA asks nobody but its key store, which has its own, and people may take their time."""
    match given:
        case AcmeIssuer():
            return f"ca/{_server(given.directory)}{urlsplit(given.directory).path}"
        case VaultPkiIssuer():
            return of_vault(given.vault.address)
        case _:
            return None


def of_token(given: Pkcs11Store) -> str:
    return f"token/{given.token}@{given.module}"


def of_target(given: TargetSettings) -> str:
    match given:
        case FilesTarget():
            return f"folder/{str(given.directory).lstrip('/')}"
        case SshFilesTarget():
            return f"host/{_host(given.ssh)}{f'@{_host(given.jump)}' if given.jump else ''}"
        case VaultKvTarget():
            return of_vault(given.vault.address)
        case KubernetesSecretTarget():
            return f"kubernetes/{_server(given.server)}"


def of_vault(address: str) -> str:
    """Also the Vault that `vault:` references lead to, by the environment's address."""
    return f"vault/{_server(address)}"


def _host(login: SshLogin) -> str:
    return f"{login.host.lower()}:{login.port}"


def _server(url: str) -> str:
    """Host and port as they stand there, without the port that the scheme has anyway, and without a user."""
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2].lower().removesuffix(_PORTS.get(parts.scheme, ""))

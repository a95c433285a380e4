"""Secrets in Vault's KV version 2, by the address and the token of this process's environment.

`VAULT_ADDR` is https, or http on loopback for a development server; `VAULT_CACERT` names its trust if the system's
does not hold it. The token is `VAULT_TOKEN`, or lies in the file of mode 0600 that `VAULT_TOKEN_FILE` names.
Redirects are not followed: the token would go along to wherever they lead.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import hvac
import requests
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized, VaultError

from clients.secrets.files import read_file
from schemas.errors import DependencyUnavailable, InvalidReference

_TIMEOUT_S = 10.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_Answer = TypeVar("_Answer")


class Vault:
    def __init__(self, address: str, token: bytes, ca_file: Path | None = None) -> None:
        _refuse_plain(address)
        self._client = hvac.Client(
            url=address,
            token=token.decode(),
            verify=str(ca_file) if ca_file else True,
            timeout=_TIMEOUT_S,
            allow_redirects=False,
        )

    @classmethod
    def from_environment(cls) -> "Vault":
        address = os.environ.get("VAULT_ADDR")
        if not address:
            raise InvalidReference("vault: references need VAULT_ADDR in this process's environment.")
        ca_file = os.environ.get("VAULT_CACERT")
        return cls(address, _token(), Path(ca_file) if ca_file else None)

    def read(self, reference: str) -> bytes:
        """`MOUNT/PATH#FIELD`, the newest version."""
        mount, path, field = _parts(reference)
        answer = _asked(
            reference,
            lambda: self._client.secrets.kv.v2.read_secret_version(
                path=path, mount_point=mount, raise_on_deleted_version=True
            ),
        )
        value = answer["data"]["data"].get(field)
        if not isinstance(value, str):
            raise InvalidReference(f"vault:{reference}: the secret has no such text field.")
        return value.encode()

    def store(self, mount: str, path: str, field: str, value: bytes) -> None:
        """Write a secret that does not exist yet. Raises `FileExistsError` and leaves what is there."""
        reference = f"{mount}/{path}#{field}"
        _parts(reference)
        try:
            _asked(
                reference,
                lambda: self._client.secrets.kv.v2.create_or_update_secret(
                    path=path, secret={field: value.decode()}, cas=0, mount_point=mount
                ),
            )
        except InvalidRequest as error:
            if "check-and-set" not in str(error):
                raise InvalidReference(f"vault:{reference}: Vault takes no secret there.") from error
            raise FileExistsError(f"vault:{reference} exists") from error


def store_vault(mount: str, path: str, field: str, value: bytes) -> None:
    """As `Vault.store`, with the Vault of the environment."""
    Vault.from_environment().store(mount, path, field, value)


def _refuse_plain(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise InvalidReference(
            "VAULT_ADDR must be https: only a server on loopback may be reached without TLS."
        )


def _token() -> bytes:
    if file := os.environ.get("VAULT_TOKEN_FILE"):
        return read_file(Path(file)).strip()
    if token := os.environ.get("VAULT_TOKEN"):
        return token.encode()
    raise InvalidReference(
        "vault: references need VAULT_TOKEN_FILE or VAULT_TOKEN in this process's environment."
    )


def _parts(reference: str) -> tuple[str, str, str]:
    location, _, field = reference.partition("#")
    mount, _, path = location.partition("/")
    # Dot segments would be resolved on the way, into another mount.
    if not (mount and path and field) or {".", ".."} & set(location.split("/")):
        raise InvalidReference("A vault: reference has the form vault:MOUNT/PATH#FIELD.")
    return mount, path, field


def _asked(reference: str, ask: Callable[[], _Answer]) -> _Answer:
    """Vault's answer, or the error that its refusal stands for; `InvalidRequest` is the caller's to judge."""
    try:
        return ask()
    except InvalidRequest:
        raise
    except InvalidPath as error:
        raise InvalidReference(f"vault:{reference}: there is no such secret.") from error
    except (Forbidden, Unauthorized) as error:
        raise InvalidReference(
            f"vault:{reference}: Vault does not let this process read or write it."
        ) from error
    except (VaultError, requests.RequestException) as error:
        raise DependencyUnavailable(
            f"Vault did not answer for vault:{reference}.", retry_after_s=5.0
        ) from error

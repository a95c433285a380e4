"""A shelf in Vault's KV version 2: `PATH` itself is what readers use, ours lie below it. Writes are check-and-set.

Redirects are not followed: the token would go along. The token is resolved anew for each connection. A secret that
was deleted and not destroyed still counts its versions, so it is an empty document and not nothing.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import hvac
import requests
from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized, VaultError

from clients.secrets import SecretSource
from clients.targets.shelves import CURRENT, Document, Kept
from schemas.errors import InvalidSettings, TargetRefused, TargetUnreachable
from schemas.settings.targets import VaultKvTarget

_TIMEOUT_S: Final = 10.0
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_MARK: Final = "redoubt_"


class VaultShelf:
    def __init__(self, settings: VaultKvTarget, secrets: SecretSource) -> None:
        parts = urlsplit(settings.address)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise InvalidSettings(
                f"Target {settings.name}: only a Vault on loopback may be reached without TLS."
            )
        self._settings, self._secrets = settings, secrets

    def get(self, name: str) -> Kept | None:
        with self._kv() as kv:
            try:
                answer = kv.read_secret_version(
                    path=self._path(name), mount_point=self._settings.mount, raise_on_deleted_version=False
                )
            except InvalidPath:
                return None
        data, metadata = answer["data"]["data"] or {}, answer["data"]["metadata"]
        return Kept(
            document=_document(data), revision=str(metadata["version"]), made_at=metadata["created_time"]
        )

    def put(self, name: str, document: Document, revision: str | None) -> bool:
        with self._kv() as kv:
            try:
                kv.create_or_update_secret(
                    path=self._path(name),
                    secret=_fields(document),
                    cas=int(revision or 0),
                    mount_point=self._settings.mount,
                )
            except InvalidRequest as error:
                if "check-and-set" not in str(error):
                    raise
                return False
        return True

    def delete(self, name: str) -> None:
        with self._kv() as kv:
            kv.delete_metadata_and_all_versions(path=self._path(name), mount_point=self._settings.mount)

    def names(self, folder: str) -> tuple[str, ...]:
        with self._kv() as kv:
            try:
                answer = kv.list_secrets(
                    path=f"{self._settings.path}/{folder}", mount_point=self._settings.mount
                )
            except InvalidPath:
                return ()
        return tuple(str(name) for name in answer["data"]["keys"])

    def forget_earlier(self, name: str) -> None:
        where = {"path": self._path(name), "mount_point": self._settings.mount}
        with self._kv() as kv:
            try:
                known = kv.read_secret_metadata(**where)["data"]
            except InvalidPath:
                return
            newest = int(known["current_version"])
            earlier = [
                int(number)
                for number, one in known["versions"].items()
                if int(number) < newest and not one["destroyed"]
            ]
            if earlier:
                kv.destroy_secret_versions(versions=earlier, **where)

    def _path(self, name: str) -> str:
        return self._settings.path if name == CURRENT else f"{self._settings.path}/{name}"

    @contextlib.contextmanager
    def _kv(self) -> Iterator[Any]:
        """Vault's KV with our token; its refusals as errors of ours, which repeat nothing that was sent."""
        given = self._settings
        client = hvac.Client(
            url=given.address,
            token=self._secrets.resolve(given.token).decode(),
            verify=given.ca_file or True,
            timeout=_TIMEOUT_S,
            allow_redirects=False,
            namespace=given.namespace,
        )
        try:
            yield client.secrets.kv.v2
        except (Forbidden, Unauthorized) as error:
            raise TargetRefused(f"Target {given.name}: Vault does not let our token do this.") from error
        except (VaultError, requests.RequestException) as error:
            raise TargetUnreachable(
                f"Target {given.name}: Vault did not do it ({type(error).__name__})."
            ) from error
        finally:
            client.adapter.close()


def _fields(document: Document) -> dict[str, str]:
    marks = {f"{_MARK}{name}": value for name, value in document.marks.items()}
    return {"certificate": document.certificate, "private_key": document.private_key, **marks}


def _document(data: dict[str, Any]) -> Document:
    texts = {str(name): value for name, value in data.items() if isinstance(value, str)}
    return Document(
        certificate=texts.get("certificate", ""),
        private_key=texts.get("private_key", ""),
        marks={name.removeprefix(_MARK): value for name, value in texts.items() if name.startswith(_MARK)},
    )

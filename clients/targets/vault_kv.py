"""A shelf in Vault's KV version 2: `PATH` itself is what readers use, ours lie below it. Writes are check-and-set.

The log-in is that of `clients.secrets.vault_session`, one for all that is at the same Vault. A secret that was deleted
and not destroyed still counts its versions, so it is an empty document and not nothing.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized, VaultError

from clients.secrets.vault_session import VaultSession
from clients.targets.shelves import CURRENT, Document, Kept
from schemas.errors import DependencyUnavailable, TargetRefused, TargetUnreachable
from schemas.settings.targets import VaultKvTarget

T = TypeVar("T")

_MARK: Final = "redoubt_"


class VaultShelf:
    def __init__(self, settings: VaultKvTarget, session: VaultSession) -> None:
        self._settings, self._session = settings, session

    def get(self, name: str) -> Kept | None:
        where = {"path": self._path(name), "mount_point": self._settings.mount}
        try:
            answer = self._ask(lambda kv: kv.read_secret_version(raise_on_deleted_version=False, **where))
        except InvalidPath:
            return None
        data, metadata = answer["data"]["data"] or {}, answer["data"]["metadata"]
        return Kept(
            document=_document(data), revision=str(metadata["version"]), made_at=metadata["created_time"]
        )

    def put(self, name: str, document: Document, revision: str | None) -> bool:
        def put(kv: Any) -> bool:
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

        return self._ask(put)

    def delete(self, name: str) -> None:
        where = {"path": self._path(name), "mount_point": self._settings.mount}
        self._ask(lambda kv: kv.delete_metadata_and_all_versions(**where))

    def names(self, folder: str) -> tuple[str, ...]:
        where = {"path": f"{self._settings.path}/{folder}", "mount_point": self._settings.mount}
        try:
            answer = self._ask(lambda kv: kv.list_secrets(**where))
        except InvalidPath:
            return ()
        return tuple(str(name) for name in answer["data"]["keys"])

    def forget_earlier(self, name: str) -> None:
        where = {"path": self._path(name), "mount_point": self._settings.mount}
        try:
            known = self._ask(lambda kv: kv.read_secret_metadata(**where))["data"]
        except InvalidPath:
            return
        newest = int(known["current_version"])
        earlier = [
            int(number)
            for number, one in known["versions"].items()
            if int(number) < newest and not one["destroyed"]
        ]
        if earlier:
            self._ask(lambda kv: kv.destroy_secret_versions(versions=earlier, **where))

    def _path(self, name: str) -> str:
        return self._settings.path if name == CURRENT else f"{self._settings.path}/{name}"

    def _ask(self, question: Callable[[Any], T]) -> T:
        """Of Vault's KV; its refusals as errors of ours, which repeat nothing that was sent."""
        name = self._settings.name
        try:
            return self._session.ask(lambda client: question(client.secrets.kv.v2))
        except InvalidPath:
            raise
        except DependencyUnavailable as error:
            raise TargetUnreachable(f"Target {name}: {error.detail}") from error
        except (Forbidden, Unauthorized) as error:
            raise TargetRefused(f"Target {name}: Vault does not let our log-in do this.") from error
        except VaultError as error:
            raise TargetUnreachable(
                f"Target {name}: Vault did not do it ({type(error).__name__})."
            ) from error


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

"""A shelf of Kubernetes objects: NAME (of type kubernetes.io/tls) is what readers use, ours are Opaque beside it.

Each write carries the resourceVersion that it replaces, so the API server refuses it with 409 if another was faster.
Answers are bounded, redirects are not followed, and the environment's proxies are not used: the token would go along.
"""

import base64
import binascii
import contextlib
import json
import ssl
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx

from clients.secrets import SecretSource
from clients.targets.shelves import CURRENT, Document, Kept
from schemas.errors import InvalidSettings, TargetRefused, TargetUnreachable
from schemas.settings.targets import KubernetesSecretTarget

_TIMEOUT_S: Final = 10.0
_MOST_ANSWER: Final = 8 << 20
_PAGE: Final = 100
_MARK: Final = "redoubt.dev/"
_OWNER: Final = "app.kubernetes.io/managed-by"
_PART: Final = "redoubt.dev/part"
_OF: Final = "redoubt.dev/secret"
_CERTIFICATE, _KEY = "tls.crt", "tls.key"


class KubernetesShelf:
    def __init__(self, settings: KubernetesSecretTarget, secrets: SecretSource) -> None:
        self._settings, self._secrets = settings, secrets
        self._all = f"/api/v1/namespaces/{settings.namespace}/secrets"

    def get(self, name: str) -> Kept | None:
        status, found = self._asked("GET", f"{self._all}/{self._named(name)}")
        return None if status == httpx.codes.NOT_FOUND else self._kept(found)

    def put(self, name: str, document: Document, revision: str | None) -> bool:
        whole = self._object(name, document, revision)
        if revision is None:
            status, _ = self._asked("POST", self._all, whole)
        else:
            status, _ = self._asked("PUT", f"{self._all}/{self._named(name)}", whole)
        # Not found: it was deleted since we have read it.
        return status not in {httpx.codes.CONFLICT, httpx.codes.NOT_FOUND}

    def delete(self, name: str) -> None:
        self._asked("DELETE", f"{self._all}/{self._named(name)}")

    def names(self, folder: str) -> tuple[str, ...]:
        begin, found, more = f"{self._settings.secret}-{folder}-", [], ""
        chosen = f"{_OWNER}=redoubt,{_OF}={self._settings.secret},{_PART}={folder}"
        while True:
            query = {"labelSelector": chosen, "limit": str(_PAGE), **({"continue": more} if more else {})}
            _, answer = self._asked("GET", self._all, query=query)
            found += [str(one["metadata"]["name"]) for one in answer.get("items", ())]
            more = answer.get("metadata", {}).get("continue", "")
            if not more:
                return tuple(name.removeprefix(begin) for name in found if name.startswith(begin))

    def forget_earlier(self, name: str) -> None:
        """The API keeps no earlier revision of a Secret."""

    def _named(self, name: str) -> str:
        own = self._settings.secret
        return own if name == CURRENT else f"{own}-{name.replace('/', '-')}"

    def _object(self, name: str, document: Document, revision: str | None) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "name": self._named(name),
            "namespace": self._settings.namespace,
            "labels": {_OWNER: "redoubt", _OF: self._settings.secret, _PART: name.partition("/")[0]},
            "annotations": {f"{_MARK}{mark}": value for mark, value in document.marks.items()},
        }
        if revision is not None:
            metadata["resourceVersion"] = revision
        data = {_CERTIFICATE: _encoded(document.certificate), _KEY: _encoded(document.private_key)}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls" if name == CURRENT else "Opaque",
            "metadata": metadata,
            "data": data,
        }

    def _kept(self, found: Mapping[str, Any]) -> Kept:
        metadata, data = found["metadata"], found.get("data") or {}
        annotations = metadata.get("annotations") or {}
        document = Document(
            certificate=_decoded(data.get(_CERTIFICATE, "")),
            private_key=_decoded(data.get(_KEY, "")),
            marks={
                name.removeprefix(_MARK): value
                for name, value in annotations.items()
                if name.startswith(_MARK)
            },
        )
        return Kept(
            document=document, revision=metadata["resourceVersion"], made_at=metadata["creationTimestamp"]
        )

    def _asked(
        self, verb: str, path: str, body: object = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """The status and the answer's object; refusals that no caller can judge become errors of ours."""
        with self._client() as client:
            request = client.build_request(verb, path, json=body, params=query)
            answer = client.send(request, stream=True)
            status, text = answer.status_code, _bounded(answer)
        if status in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise TargetRefused(
                f"Target {self._settings.name}: the API server does not let our token do this ({status})."
            )
        if answer.is_success or status in {httpx.codes.NOT_FOUND, httpx.codes.CONFLICT}:
            return status, self._parsed(text)
        raise TargetUnreachable(
            f"Target {self._settings.name}: the API server answers {verb} with status {status}."
        )

    def _parsed(self, text: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise TargetUnreachable(f"Target {self._settings.name}: what answers is no API server.")
        return answer

    @contextlib.contextmanager
    def _client(self) -> Iterator[httpx.Client]:
        given = self._settings
        try:
            trust = ssl.create_default_context(cafile=given.ca_file)
        except OSError as error:
            raise InvalidSettings(f"Target {given.name}: its ca_file can't be read.") from error
        token = self._secrets.resolve(given.token).decode()
        try:
            with httpx.Client(
                base_url=given.server,
                headers={"authorization": f"Bearer {token}", "accept": "application/json"},
                verify=trust,
                timeout=_TIMEOUT_S,
                trust_env=False,
            ) as client:
                yield client
        except httpx.HTTPError as error:
            raise TargetUnreachable(
                f"Target {given.name}: the API server can't be reached ({type(error).__name__})."
            ) from error


def _bounded(answer: httpx.Response) -> bytes:
    text = bytearray()
    for chunk in answer.iter_bytes():
        text += chunk
        if len(text) > _MOST_ANSWER:
            raise TargetUnreachable(f"An API server says more than {_MOST_ANSWER} bytes.")
    return bytes(text)


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode("ascii")


def _decoded(text: str) -> str:
    """What someone else has put there may be anything: what is no text is as good as none."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""

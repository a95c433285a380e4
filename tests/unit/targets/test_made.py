"""Each kind of target in the settings has its client, and nothing is touched before it is used."""

from typing import Any

import pytest
from pydantic import TypeAdapter

from clients.secrets.vault_session import VaultSession
from clients.settings.samples import COMPLETE
from clients.targets.files import FilesTarget
from clients.targets.secret import SecretTarget
from clients.targets.shelves import Document, Kept
from clients.targets.ssh_files import SshFilesTarget
from schemas.settings.targets import TargetSettings
from workers.targets import made

CLIENTS = {
    "files": FilesTarget,
    "ssh-files": SshFilesTarget,
    "vault-kv": SecretTarget,
    "kubernetes-secret": SecretTarget,
}


def test_no_text_of_a_document_shows_its_private_key() -> None:
    document = Document(certificate="shown", private_key="canary-77d0")
    kept = Kept(document=document, revision="1", made_at="")
    assert "shown" in repr(kept)
    assert "canary" not in f"{document} {document!r} {kept} {kept!r}"


class Nowhere:
    def resolve(self, reference: str) -> bytes:
        raise AssertionError(f"{reference} was followed before it was needed")


@pytest.mark.parametrize(
    "given", COMPLETE["certificates"]["edge"]["targets"], ids=lambda one: str(one["name"])
)
def test_the_example_of_each_kind_is_wired(given: dict[str, Any]) -> None:
    settings: TargetSettings = TypeAdapter(TargetSettings).validate_python(given)
    client = made(settings, Nowhere(), lambda server: VaultSession("nobody", server, Nowhere()))
    assert type(client) is CLIENTS[settings.kind]
    assert client.name == settings.name

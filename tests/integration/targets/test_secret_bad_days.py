"""Secrets in stores that refuse, fail, or are written to by others in between."""

import json
import secrets
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest

from clients.secrets.resolver import Secrets
from clients.targets import kubernetes_secret
from clients.targets.kubernetes_secret import KubernetesShelf
from clients.targets.secret import SecretTarget
from clients.targets.shelves import CURRENT, Document
from schemas.errors import (
    Fenced,
    InvalidSettings,
    KeyUnsuitable,
    TargetRefused,
    TargetUnreachable,
    VaultLoginRefused,
)
from schemas.settings.targets import KubernetesSecretTarget
from tests.conftest import VaultServer
from tests.integration.targets.elsewhere import in_kubernetes, in_vault
from tests.integration.targets.material import NAME, TestCa, going, ordered, renew, undoing
from tests.servers.kubernetes import Kubernetes

SECRETS = "/api/v1/namespaces/edge/secrets"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Kubernetes]:
    made = Kubernetes(tmp_path)
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text(made.token)
    yield made
    made.stop()


def settings_of(api: Kubernetes, **more: object) -> KubernetesSecretTarget:
    given = {"kind": "kubernetes-secret", "name": "web-1", "secret": "www", "namespace": "edge"}
    where = {"server": api.address, "ca_file": str(api.ca_file), "token": f"file:{api.folder / 'token'}"}
    return KubernetesSecretTarget.model_validate({**given, **where, **more})


def target_of(api: Kubernetes) -> SecretTarget:
    return in_kubernetes(api.address, str(api.ca_file), f"file:{api.folder / 'token'}", keep_versions=1)


class Interrupted(KubernetesShelf):
    """Does something else just before `current` is written the first time."""

    def __init__(self, settings: KubernetesSecretTarget, meanwhile: Callable[[], None]) -> None:
        super().__init__(settings, Secrets())
        self._meanwhile = [meanwhile]

    def put(self, name: str, document: Document, revision: str | None) -> bool:
        if name == CURRENT and self._meanwhile:
            self._meanwhile.pop()()
        return super().put(name, document, revision)


def test_a_zombie_that_stood_between_its_look_and_its_write_undoes_no_undo(api: Kubernetes) -> None:
    target, ca = target_of(api), TestCa()
    first, second = renew(target, ca, 1), renew(target, ca, 2)
    target.switch(first, going(2))
    zombie = SecretTarget(
        "web-1", Interrupted(settings_of(api), lambda: target.switch_back(first, undoing(3))), 1
    )
    with pytest.raises(Fenced):
        zombie.switch(second, going(3))
    assert target.current() == first
    assert target.drift(first) is None


def test_nor_where_there_was_nothing_before(api: Kubernetes) -> None:
    target = target_of(api)
    version = renew(target, TestCa(), 1)
    zombie = SecretTarget(
        "web-1", Interrupted(settings_of(api), lambda: target.switch_back(None, undoing(1))), 1
    )
    with pytest.raises(Fenced):
        zombie.switch(version, going(1))
    assert target.current() is None


def test_a_secret_of_someone_else_is_never_replaced(api: Kubernetes) -> None:
    ca, target = TestCa(), target_of(api)
    code, _ = api.answer("POST", SECRETS, f"Bearer {api.token}", _foreign())
    assert code == 201
    before = dict(api.objects["www"])
    with pytest.raises(TargetUnreachable, match="did not write stands in its place"):
        target.make_key("ab", "EC-P256", (NAME,))
    with pytest.raises(TargetUnreachable, match="did not write stands in its place"):
        target.switch_back(None, undoing(1))
    assert api.objects == {"www": before}
    del api.objects["www"]
    version = renew(target, ca, 1)
    target.switch(version, going(1))
    assert target.current() == version


def _foreign() -> bytes:
    data = {name: b64encode(b"theirs").decode() for name in ("tls.crt", "tls.key")}
    metadata = {"name": "www", "namespace": "edge"}
    return _json(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": metadata,
            "data": data,
        }
    )


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def test_what_was_deleted_or_emptied_behind_our_back_is_told_and_mended(api: Kubernetes) -> None:
    target, ca = target_of(api), TestCa()
    version = renew(target, ca, 1)
    target.switch(version, going(1))
    del api.objects["www"]
    assert "no certificate is in use" in (target.drift(version) or "")
    target.switch(version, going(1))
    assert target.drift(version) is None


def test_a_key_from_a_store_does_not_fit_into_a_secret(api: Kubernetes) -> None:
    target = target_of(api)
    bundle = ordered(target, TestCa(), "ab").model_copy(update={"key_uri": "pkcs11:token=demo"})
    with pytest.raises(KeyUnsuitable, match=r"web-1 makes its own keys"):
        target.stage(bundle, going(1))


@pytest.mark.parametrize("code", [401, 403])
def test_a_token_that_may_not_is_refused_and_not_repeated(api: Kubernetes, code: int) -> None:
    api.broken = [code]
    with pytest.raises(TargetRefused, match=rf"web-1.*\({code}\)") as refused:
        target_of(api).current()
    assert api.token not in repr(refused.value)


@pytest.mark.parametrize("code", [429, 500, 503, 301])
def test_an_api_server_in_trouble_is_unreachable(api: Kubernetes, code: int) -> None:
    api.broken = [code]
    with pytest.raises(TargetUnreachable, match=f"status {code}"):
        target_of(api).current()
    assert target_of(api).current() is None


def test_an_api_server_that_we_do_not_trust_gets_no_token(api: Kubernetes, tmp_path: Path) -> None:
    (tmp_path / "other.pem").write_bytes(TestCa().root)
    given = settings_of(api, ca_file=str(tmp_path / "other.pem"))
    with pytest.raises(TargetUnreachable, match="can't be reached"):
        KubernetesShelf(given, Secrets()).get(CURRENT)
    assert api.asked == []
    with pytest.raises(InvalidSettings, match="ca_file"):
        KubernetesShelf(settings_of(api, ca_file="/nowhere.pem"), Secrets()).get(CURRENT)


def test_a_long_list_comes_in_pages(api: Kubernetes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_secret, "_PAGE", 2)
    shelf = KubernetesShelf(settings_of(api), Secrets())
    for number in range(5):
        assert shelf.put(f"staged/{number}", Document(certificate="x"), None)
        assert shelf.put(f"key/{number}", Document(private_key="x"), None)
    assert shelf.names("staged") == ("0", "1", "2", "3", "4")
    assert sum("limit=2" in url for url in api.asked) == 3


def test_the_simulator_is_as_strict_as_the_api(api: Kubernetes) -> None:
    def asked(verb: str, path: str, **changed: Any) -> int:
        metadata = {"name": "www", "namespace": "edge", **changed.pop("metadata", {})}
        whole = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, **changed}
        return api.answer(verb, path, f"Bearer {api.token}", _json(whole))[0]

    assert asked("POST", SECRETS, surprise=1) == 400
    assert asked("POST", SECRETS, data={"a": "no base64!"}) == 400
    assert asked("POST", SECRETS, metadata={"name": "Big"}) == 422
    assert asked("POST", SECRETS, metadata={"labels": {"a": "x" * 64}}) == 422
    assert asked("POST", SECRETS, type="kubernetes.io/tls", data={"tls.crt": ""}) == 422
    assert asked("POST", SECRETS, data={"a": b64encode(b"x" * 1_100_000).decode()}) == 413
    assert asked("POST", "/api/v1/namespaces/other/secrets") == 403
    assert asked("PUT", f"{SECRETS}/www") == 404
    assert asked("POST", SECRETS) == 201
    assert asked("POST", SECRETS) == 409
    assert asked("PUT", f"{SECRETS}/www", metadata={"resourceVersion": "1"}) == 409
    assert (
        asked("PUT", f"{SECRETS}/www", type="kubernetes.io/tls", data={"tls.crt": "", "tls.key": ""}) == 422
    )
    assert (
        asked(
            "PUT",
            f"{SECRETS}/www",
            metadata={"resourceVersion": api.objects["www"]["metadata"]["resourceVersion"]},
        )
        == 200
    )
    assert api.answer("GET", SECRETS, "Bearer x", b"")[0] == 401


def vault_path() -> str:
    return f"targets/{secrets.token_hex(8)}"


def test_vault_keeps_no_private_key_of_an_earlier_version(vault: VaultServer) -> None:
    path = vault_path()
    target, ca = in_vault(vault.address, f"file:{vault.token_file}", path, keep_versions=1), TestCa()
    for number in (1, 2, 3):
        target.switch(renew(target, ca, number), going(number))
    target.retire((), going(3))
    client = hvac.Client(vault.address, vault.token_file.read_text())
    known = client.secrets.kv.v2.read_secret_metadata(path)["data"]
    alive = [int(number) for number, one in known["versions"].items() if not one["destroyed"]]
    client.adapter.close()
    assert alive == [known["current_version"]]
    target.retire((), going(3))


def test_a_secret_that_was_deleted_in_vault_is_told_and_mended(vault: VaultServer) -> None:
    path = vault_path()
    target, ca = in_vault(vault.address, f"file:{vault.token_file}", path), TestCa()
    version = renew(target, ca, 1)
    target.switch(version, going(1))
    client = hvac.Client(vault.address, vault.token_file.read_text())
    client.secrets.kv.v2.delete_latest_version_of_secret(path)
    client.adapter.close()
    assert "no certificate is in use" in (target.drift(version) or "")
    target.switch(version, going(1))
    assert target.drift(version) is None


def test_a_vault_that_refuses_our_token_or_is_away(vault: VaultServer, tmp_path: Path) -> None:
    (tmp_path / "token").touch(mode=0o600)
    (tmp_path / "token").write_text("hvs.canary-90aa")
    with pytest.raises(VaultLoginRefused, match="Vault does not let the test log in") as refused:
        in_vault(vault.address, f"file:{tmp_path / 'token'}", vault_path()).current()
    assert "canary" not in repr(refused.value)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(TargetUnreachable, match="web-1: Vault does not answer"):
        in_vault(address, f"file:{vault.token_file}", vault_path()).current()

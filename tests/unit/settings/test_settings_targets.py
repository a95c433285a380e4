"""What a target's settings take, and what they refuse before anything is touched."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from clients.settings.shape import below, resolve, root
from schemas.settings.certificates import CertificateSettings
from schemas.settings.targets import FilesTarget, SshFilesTarget, TargetSettings

ONE: TypeAdapter[TargetSettings] = TypeAdapter(TargetSettings)
HOST_KEY = f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{'A' * 43}"
LOGIN = {"host": "edge-1.example.com", "user": "redoubt", "key": "file:key", "host_key": HOST_KEY}
FILES = {"name": "web", "directory": "/x", "reload": ["true"], "verify": {"host": "web"}}
OVER_SSH = {**FILES, "kind": "ssh-files", "ssh": LOGIN}
SERVER = {"address": "https://vault", "login": {"kind": "token", "token": "env:T"}}
VAULT = {"kind": "vault-kv", "name": "v", "vault": SERVER, "path": "tls/www"}
KUBERNETES = {
    "kind": "kubernetes-secret",
    "name": "k",
    "server": "https://api",
    "ca_file": "ca.pem",
    "token": "env:T",
    "secret": "www",
}


def without(given: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in given.items() if key != name}


def test_one_without_a_kind_is_files_on_this_host() -> None:
    assert isinstance(ONE.validate_python(FILES), FilesTarget)
    made = ONE.validate_python(OVER_SSH)
    assert isinstance(made, SshFilesTarget)
    assert (made.ssh.port, made.jump) == (22, None)
    assert ONE.validate_python(made.model_dump()) == made


@pytest.mark.parametrize(
    "given",
    [
        {**OVER_SSH, "ssh": without(LOGIN, "host_key")},
        {**OVER_SSH, "ssh": {**LOGIN, "host_key": "ssh-dss AAAA"}},
        {**OVER_SSH, "ssh": {**LOGIN, "host": "-oProxyCommand=x"}},
        {**OVER_SSH, "ssh": {**LOGIN, "user": "a b"}},
        {**OVER_SSH, "ssh": {**LOGIN, "key": "the key itself"}},
        {**OVER_SSH, "directory": "relative"},
        {**OVER_SSH, "directory": "/a b"},
        {**VAULT, "path": "../other"},
        {**VAULT, "path": "a//b"},
        {**VAULT, "path": "a/.."},
        {**VAULT, "vault": {**SERVER, "login": {"kind": "token", "token": "hvs.value"}}},
        {**VAULT, "vault": {**SERVER, "address": "http://vault.example.com"}},
        {**KUBERNETES, "server": "http://api"},
        {**KUBERNETES, "secret": "a/b"},
        {**KUBERNETES, "secret": "a" * 64},
        without(KUBERNETES, "ca_file"),
        without(FILES, "verify"),
        {**FILES, "pkcs12": {"file": "../x.p12", "password": "file:p"}},
        {**FILES, "kind": "ftp"},
    ],
)
def test_what_could_be_more_than_it_should_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ONE.validate_python(given)


@pytest.mark.parametrize("target", [OVER_SSH, VAULT, KUBERNETES], ids=lambda one: str(one["kind"]))
def test_a_key_that_stays_in_a_store_is_not_served_elsewhere(target: dict[str, Any]) -> None:
    given = {"names": ["www.example.com"], "issuers": ["local"], "targets": [target]}
    CertificateSettings.model_validate(given)
    with pytest.raises(ValidationError, match=r"needs `key.holder: target`"):
        CertificateSettings.model_validate({**given, "key": {"holder": "hsm"}})


def test_paths_of_a_target_without_a_kind_are_those_of_files(tmp_path: Any) -> None:
    shape = below(below(root(), "certificates", {}), "www", {})
    given = {"targets": [{"directory": "here", "verify": {"trust_file": "roots.pem"}}]}
    (resolved,) = resolve(shape, given, tmp_path)["targets"]
    assert resolved["directory"] == str(tmp_path / "here")
    assert resolved["verify"]["trust_file"] == str(tmp_path / "roots.pem")

"""The PKCS#12 file of a target is switched and put back with its version, and `openssl` opens it."""

import stat
import subprocess
from pathlib import Path

import pytest

from clients.secrets.resolver import Secrets
from clients.targets.files import FilesTarget
from schemas.errors import InvalidReference
from tests.integration.targets.material import TestCa, configured, fingerprint, going, ordered, renew, undoing

PASSWORD = "a-keystore-password-3c90"


def _target(folder: Path, password: str = PASSWORD) -> FilesTarget:
    secret = folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    wanted = {"file": "app.p12", "password": f"file:{secret}"}
    return FilesTarget(configured(folder, ("true",), pkcs12=wanted), Secrets())


def _opened(file: Path, *wanted: str) -> bytes:
    argv = ["openssl", "pkcs12", "-in", str(file), "-passin", "stdin", "-passout", "pass:", *wanted]
    return subprocess.run(argv, input=PASSWORD.encode(), check=True, capture_output=True, timeout=60).stdout


def test_it_goes_with_its_version(tmp_path: Path) -> None:
    target, ca = _target(tmp_path), TestCa()
    first, second = renew(target, ca, 1), renew(target, ca, 2)
    file = tmp_path / "target/current/app.p12"
    target.switch(first, going(2))
    assert fingerprint(_opened(file, "-nokeys", "-clcerts")) == first
    target.switch(second, going(2))
    assert fingerprint(_opened(file, "-nokeys", "-clcerts")) == second
    assert b"PRIVATE KEY" in _opened(file, "-nocerts", "-nodes")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    target.switch_back(first, undoing(2))
    assert fingerprint(_opened(file, "-nokeys", "-clcerts")) == first


def test_with_a_key_in_a_token_it_holds_no_key(tmp_path: Path) -> None:
    target, ca = _target(tmp_path), TestCa()
    bundle = ordered(target, ca, "ab").model_copy(update={"key_uri": "pkcs11:token=demo;id=%01;type=private"})
    target.stage(bundle, going(1))
    target.switch(bundle.version, going(1))
    file = tmp_path / "target/current/app.p12"
    assert b"PRIVATE KEY" not in _opened(file, "-nodes")
    assert b"BEGIN CERTIFICATE" in _opened(file, "-nokeys")


def test_a_bad_password_stages_nothing(tmp_path: Path) -> None:
    target = _target(tmp_path, "short7!")
    bundle = ordered(target, TestCa(), "ab")
    with pytest.raises(InvalidReference, match="at least 8 signs") as refused:
        target.stage(bundle, going(1))
    assert "short7!" not in str(refused.value)
    assert list((tmp_path / "target/versions").iterdir()) == []

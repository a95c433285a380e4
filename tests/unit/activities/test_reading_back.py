"""A target without a listener is verified by reading back what its readers find."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from activities.certificates.steps import Surroundings
from activities.certificates.switching import SwitchingActivities
from schemas.errors import VerificationFailed
from schemas.settings.certificates import CertificateSettings

VERSION = "a" * 64
SERVER = {"address": "https://v", "login": {"kind": "token", "token": "env:T"}}
VAULT = {"kind": "vault-kv", "name": "vault", "vault": SERVER, "path": "tls/www"}


def _read_back(words: str | None) -> Any:
    settings = CertificateSettings.model_validate(
        {"names": ["www.example.com"], "issuers": ["local"], "targets": [VAULT]}
    )
    target = SimpleNamespace(drift=lambda expected: words if expected == VERSION else "asked for another")
    around = SimpleNamespace(target=lambda _: target)
    steps = SwitchingActivities(cast("Surroundings", around))
    return steps._read_back(settings.targets[0], VERSION)


def test_what_it_must_hold_is_told_with_its_fingerprint() -> None:
    assert _read_back(None) == {"fingerprint": VERSION, "read_back": True}


def test_what_it_does_not_hold_fails_the_verification() -> None:
    with pytest.raises(VerificationFailed, match="vault does not hold what it must: its key was changed"):
        _read_back("its key was changed")

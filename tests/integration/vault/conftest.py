"""A Vault that a test may seal, and a place for secrets."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import sealable


@pytest.fixture(scope="module")
def own_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sealable.OwnVault]:
    with sealable.own_vault(tmp_path_factory.mktemp("vault")) as vault:
        yield vault


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[str], str]:
    """Keep a secret in a file; returns the reference to it."""

    def keep(value: str) -> str:
        path = tmp_path / secrets.token_hex(4)
        path.touch(mode=0o600)
        path.write_text(value)
        return f"file:{path}"

    return keep

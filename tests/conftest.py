"""Fixtures that every test may ask for. Servers are real, shared by the whole run, and started on demand."""

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import psycopg
import pytest
from psycopg import sql

from cli.dev import servers
from tests.servers import broker
from tests.servers.sshd import Sshd

hypothesis.settings.register_profile("default", max_examples=100, deadline=None)
hypothesis.settings.register_profile("chaos", max_examples=2000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

_broker: list[tuple[subprocess.Popen[bytes], tempfile.TemporaryDirectory[str]]] = []


def pytest_configure(config: pytest.Config) -> None:
    """Start the broker in the controlling process; test processes inherit its address."""
    if hasattr(config, "workerinput") or broker.SOCKET in os.environ:
        return
    folder = tempfile.TemporaryDirectory(prefix="redoubt-broker-")
    path = f"{folder.name}/socket"
    process = subprocess.Popen([sys.executable, "-m", "tests.servers.broker", path], stdin=subprocess.PIPE)
    os.environ[broker.SOCKET] = path
    _broker.append((process, folder))


def pytest_unconfigure() -> None:
    for process, folder in _broker:
        process.communicate(timeout=60)
        folder.cleanup()
        del os.environ[broker.SOCKET]
    _broker.clear()


@dataclass(frozen=True)
class DevServer:
    address: str
    ui: str
    namespace: str


@dataclass(frozen=True)
class Ca:
    directory: str
    ca_file: Path
    trust_file: Path
    webroot: Path
    log: Path


@dataclass(frozen=True)
class VaultServer:
    address: str
    token_file: Path
    ca_file: Path | None = None


@pytest.fixture(scope="session")
def temporal_server() -> DevServer:
    return DevServer(**broker.ask("temporal"))


@pytest.fixture(scope="session")
def pebble() -> Ca:
    about = broker.ask("pebble")
    directory = about.pop("directory")
    return Ca(directory, **{name: Path(path) for name, path in about.items()})


@pytest.fixture(scope="session")
def vault() -> VaultServer:
    about = broker.ask("vault")
    return VaultServer(about["address"], Path(about["token_file"]))


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One a process: it runs as the user who runs the tests."""
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A fresh database; the URL holds its password, which settings would take as a reference."""
    about = broker.ask("postgres")
    host, port = about["address"].split(":")
    name = f"test_{secrets.token_hex(8)}"
    with psycopg.connect(
        host=host, port=port, user="postgres", password=about["password"], autocommit=True
    ) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        yield f"postgresql+psycopg://postgres:{about['password']}@{about['address']}/{name}"
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def _token_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder a process: SoftHSM reads where its tokens are when it is first loaded."""
    return tmp_path_factory.mktemp("softhsm")


@pytest.fixture
def softhsm(_token_folder: Path, tmp_path: Path) -> servers.Token:
    return _fresh_token(_token_folder, tmp_path)


@pytest.fixture
def empty_softhsm(softhsm: servers.Token) -> servers.Token:
    """Without the key that is for nginx to log in by."""
    from clients.keystores.pkcs11 import Pkcs11KeyStore  # noqa: PLC0415 - only where a token is

    store = Pkcs11KeyStore("hsm", softhsm.module, softhsm.label, softhsm.pin_file.read_bytes)
    for key in store.list():
        store.destroy(bytes.fromhex(key.key_id))
    return softhsm


def _fresh_token(folder: Path, private: Path) -> servers.Token:
    pin_file = private / "pin"
    pin_file.touch(mode=0o600)
    pin_file.write_text(secrets.token_hex(8))
    made = servers.softhsm(folder, f"test-{secrets.token_hex(4)}", pin_file, so_pin=secrets.token_hex(8))
    os.environ.update(made.env)
    return made

"""A worker does not start where it could not work safely, and says which setting stands in the way."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cli.dev.process import free_port
from tests.integration.workers.installation import Installation, install

AUDIT = [sys.executable, "-m", "cli.main", "workers", "run", "audit"]


def refused(made: Installation) -> str:
    """What it says on stderr, after it has ended with a failure."""
    made.write()
    env = {"REDOUBT_CONFIG": str(made.file), "PATH": "/usr/bin:/bin", "HOME": str(made.folder)}
    ended = subprocess.run(AUDIT, env=env, capture_output=True, timeout=60, check=False)
    assert ended.returncode not in {0, -9}, ended.stderr
    assert b"Traceback" not in ended.stderr
    return ended.stderr.decode()


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    return install(tmp_path, f"127.0.0.1:{free_port()}")


@pytest.mark.parametrize("value", ["", "changeme", "password", "0" * 64, "<your key>"])
@pytest.mark.parametrize("name", ["log-key", "spool-key", "codec-master-key"])
def test_a_default_empty_or_example_credential(made: Installation, name: str, value: str) -> None:
    made.secret(name, value)
    said = refused(made)
    setting = {"log-key": "evidence.log_key", "spool-key": "evidence.spool_key"}
    assert setting.get(name, "key_stores.codec.master_key") in said
    assert not value or value not in said


def test_a_secret_that_others_can_read(made: Installation) -> None:
    (made.folder / "log-key").chmod(0o644)
    assert "evidence.log_key" in refused(made)


def test_a_key_ring_without_a_key(made: Installation) -> None:
    made.document["key_stores"]["codec"]["path"] = "another-folder"
    assert "payload key" in refused(made)


def test_another_master_key_than_the_key_rings(made: Installation) -> None:
    made.secret("codec-master-key", "6f" * 16 + "a1" * 16)
    assert "KeyStoreUnavailable" in refused(made)


def test_records_that_were_never_migrated(made: Installation) -> None:
    made.document["store"]["url"] = "sqlite:///new.sqlite"
    assert "redoubt store migrate" in refused(made)


def test_an_unknown_pool(made: Installation) -> None:
    made.write()
    env = {"REDOUBT_CONFIG": str(made.file), "PATH": "/usr/bin:/bin", "HOME": str(made.folder)}
    ended = subprocess.run([*AUDIT, "audti"], env=env, capture_output=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert b"'audti'" in ended.stderr


@pytest.mark.parametrize("setting", ["health_port", "metrics_port"])
def test_a_port_that_is_taken(made: Installation, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        made.document["pools"] = {"audit": {setting: port}}
        said = refused(made)
    assert str(port) in said
    assert "DependencyUnavailable" in said

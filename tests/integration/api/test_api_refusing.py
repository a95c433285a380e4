"""The API as a process: what it refuses to start with, in words. What it does is in tests/integration/tls, by TLS."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.dev.process import free_port
from tests.integration.workers.installation import Installation, install


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    return install(tmp_path, f"127.0.0.1:{free_port()}")


def refused(made: Installation) -> str:
    made.write()
    env = {"REDOUBT_CONFIG": str(made.file), "PATH": "/usr/bin:/bin", "HOME": str(made.folder)}
    argv = [sys.executable, "-m", "cli.main", "api", "run"]
    ended = subprocess.run(argv, env=env, capture_output=True, timeout=60, check=False)
    assert ended.returncode not in {0, -9}
    assert b"Traceback" not in ended.stderr
    return ended.stderr.decode()


@pytest.mark.parametrize("value", ["", "changeme"])
def test_with_a_key_that_is_none_it_does_not_start(made: Installation, value: str) -> None:
    made.document["api"] = {"signing_key": made.secret("api-key", value)}
    assert "api.signing_key can't be used" in refused(made)


def test_without_a_payload_key_it_does_not_start(made: Installation) -> None:
    shutil.rmtree(made.folder / "codec-keys")
    assert "`redoubt init` makes the first one" in refused(made)

"""What a process gives back before it leaves: its log-in to Vault, and the spans that it has not sent yet."""

import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import hvac
import pytest

from tests.conftest import VaultServer
from tests.integration.vault.test_session import approle, lives, wrapped
from tests.integration.workers.conftest import Workers
from tests.integration.workers.installation import Installation
from tests.integration.workers.test_worker_process import holding, started
from tests.servers.spans import Sink, sink

Accessor = Callable[[], str]


@pytest.fixture
def spans() -> Iterator[Sink]:
    with sink() as taken:
        yield taken


@pytest.fixture
def root(vault: VaultServer) -> hvac.Client:
    return hvac.Client(vault.address, vault.token_file.read_text())


@pytest.fixture
def token(installation: Installation, vault: VaultServer, root: hvac.Client) -> Accessor:
    """The tiny pool's workers log in to Vault from now on; returns the accessor of the token that one has got."""

    def keep(value: str) -> str:
        return installation.secret(secrets.token_hex(4), value)

    mount, login = approle(root, keep)
    server = {"address": vault.address, "login": {**login, "secret_id": keep(wrapped(root, mount))}}
    installation.document["issuers"] = {
        "vault": {"kind": "vault-pki", "path": "vault-orders", "vault": server, "role": "web"}
    }
    return (installation.folder / "accessor").read_text


def test_a_worker_that_ends_leaves_no_token_at_vault(
    installation: Installation, worker: Workers, root: hvac.Client, token: Accessor
) -> None:
    running = worker(installation)
    assert lives(root, token())
    running.child.signal(signal.SIGTERM)
    assert running.child.wait(60) == 0
    assert not lives(root, token())


async def test_nor_does_one_that_leaves_without_an_activity(
    installation: Installation, worker: Workers, root: hvac.Client, token: Accessor
) -> None:
    running = worker(installation, graceful_shutdown_s=0.2)
    handle = await holding(installation, "stubborn")
    running.child.signal(signal.SIGTERM)
    assert running.child.wait(60) == 1
    assert not lives(root, token())
    await handle.terminate()


async def test_a_workers_last_spans_leave_before_it_does(
    installation: Installation, worker: Workers, spans: Sink
) -> None:
    installation.document["telemetry"] = {"otlp_endpoint": spans.endpoint}
    running = worker(installation)
    (installation.folder / "traced.release").touch()
    await (await started(installation, "traced")).result()
    running.child.signal(signal.SIGTERM)
    assert running.child.wait(60) == 0
    assert {"RunActivity:hold", "RunWorkflow:Hold"} <= set(spans.names())


def test_a_commands_span_leaves_before_it_does(
    installation: Installation, tmp_path: Path, spans: Sink
) -> None:
    installation.document["telemetry"] = {"otlp_endpoint": spans.endpoint}
    installation.write()
    name = f"www-{secrets.token_hex(4)}"
    given = tmp_path / "input.json"
    given.write_text(json.dumps({"certificate": name}))
    argv = [sys.executable, "-m", "cli.main", "--config", str(installation.file)]
    said = subprocess.run(
        [*argv, "start", "CertificateRenewal", "--input", str(given)],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    assert spans.names() == ["StartWorkflow:CertificateRenewal"]

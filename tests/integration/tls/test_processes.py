"""The processes as people run them, by TLS: the codec server, the API, and a worker's health and metrics."""

import asyncio
import hashlib
import http.client
import shutil
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.dev.process import Child, free_port, listening
from clients.identities.client_certificates import fingerprint
from clients.signers.file import FileSigner
from schemas.policies import Grant, Policy, PrincipalEntry, Role
from schemas.principals import Shown
from tests.conftest import DevServer
from tests.integration.tls.conftest import Site
from tests.integration.tls.material import NAME, Client, pem_file
from tests.integration.tls.test_walk import REFUSED
from tests.integration.workers.installation import Installation, install
from tests.unit.policies.people import ADMIN, key_of, pem


def tls(site: Site, clients: str) -> dict[str, Any]:
    return site.tls(clients).model_dump(mode="json", exclude_none=True)


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    return install(tmp_path / "house", f"127.0.0.1:{free_port()}")


@pytest.fixture(autouse=True)
def _house(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()


@pytest.fixture
def codec_server(made: Installation, site: Site) -> Iterator[Child]:
    """Open to others, as far as the settings go, and so by TLS."""
    made.document["codec_server"] = {
        "host": "0.0.0.0",  # noqa: S104 - refused without TLS
        "port": free_port(),
        "metrics_port": free_port(),
        "token": made.secret("token", "0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
        "tls": tls(site, "required"),
    }
    made.write()
    env = {"REDOUBT_CONFIG": str(made.file)}
    argv = [sys.executable, "-m", "cli.main", "codec-server", "run"]
    child = Child("codec-server", argv, made.folder / "codec-server.log", env)
    child.start()
    child.wait_until(lambda: listening(made.document["codec_server"]["port"]), 60, "ready")
    yield child
    child.kill()


def scraped(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.mark.usefixtures("codec_server")
def test_the_codec_server_is_served_by_tls_to_who_shows_a_certificate(made: Installation, site: Site) -> None:
    given = made.document["codec_server"]
    assert site.client().get(given["port"], "/readyz").status == 200
    for client in (site.without, site.stranger, Client(site.ca.root, newest=ssl.TLSVersion.TLSv1_2)):
        with pytest.raises(REFUSED):
            client.get(given["port"], "/readyz")
    text = scraped(given["metrics_port"])
    assert 'redoubt_tls_handshakes_total{listener="codec-server",resumed="no"} 1.0' in text
    assert 'reason="no-client-certificate"} 1.0' in text
    assert 'reason="old-tls-version"} 1.0' in text
    assert f'redoubt_tls_certificate_not_after_seconds{{listener="codec-server",what="{NAME}"}}' in text


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl command")
@pytest.mark.usefixtures("codec_server")
def test_the_policys_groups_are_served_and_no_others_and_no_early_data(
    made: Installation, site: Site
) -> None:
    port = made.document["codec_server"]["port"]
    client = site.folder / "shown.pem"
    site.client()
    shutil.copy(site.folder / "client.pem", client)

    def asked(group: str) -> bytes:
        argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", NAME, "-groups", group]
        request = f"GET /livez HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode()
        ended = subprocess.run(
            [*argv, "-cert", str(client), "-ign_eof"],
            input=request, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        return ended.stdout

    for group in ("X25519", "P-256", "P-384"):
        said = asked(group)
        assert b"TLS_AES_256_GCM_SHA384" in said
        assert b"200 OK" in said
        assert b"Max Early Data: 0" in said
    for group in ("P-521", "X448", "ffdhe2048"):
        assert b"TLS_AES_256_GCM_SHA384" not in asked(group)


def govern(made: Installation, robot: str) -> str:
    """Install a policy that knows the robot by its key; returns the reference to the key that vouches for it."""
    reference = made.secret("api-key.pem", pem().decode())
    vouching = FileSigner("api-1", f"file:{made.folder / 'api-key.pem'}", made.wiring.secrets())
    policy = Policy(
        installation=made.wiring.settings.installation,
        version=1,
        principals={
            "robot": PrincipalEntry(client_certificates=(robot,)),
            "root": PrincipalEntry(signing_keys=(key_of(ADMIN, "root-1"),)),
            "service:api": PrincipalEntry(
                signing_keys=(vouching.key,), vouches_for=frozenset({Shown.CLIENT_CERTIFICATE})
            ),
        },
        grants=(
            Grant(role=Role.ADMIN, principals=("root",)),
            Grant(role=Role.VIEWER, principals=("robot",)),
        ),
    )
    file = made.folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy.model_dump(mode="json")))
    made.document["policy"] = {"root_sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    made.write()
    argv = [sys.executable, "-m", "cli.main", "policy", "apply", str(file)]
    applied = Child("policy", argv, made.folder / "policy.log", {"REDOUBT_CONFIG": str(made.file)})
    applied.start()
    assert applied.wait(60) == 0, applied.last_words()
    return reference


def test_the_api_is_served_by_tls_to_whom_the_policy_names(made: Installation, site: Site) -> None:
    robot, guest = (
        Client(site.ca.root, pem_file(site.folder, name, site.ca.client(name))) for name in ("robot", "guest")
    )
    assert robot.shown is not None
    port, metrics_port = free_port(), free_port()
    made.document["api"] = {
        "port": port,
        "metrics_port": metrics_port,
        "signing_key": govern(made, fingerprint(robot.shown.read_text("ascii"))),
        "tls": tls(site, "required"),
    }
    made.write()
    env = {"REDOUBT_CONFIG": str(made.file)}
    child = Child("api", [sys.executable, "-m", "cli.main", "api", "run"], made.folder / "api.log", env)
    child.start()
    try:
        child.wait_until(lambda: listening(port), 60, "ready")
        assert [robot.get(port, path).status for path in ("/readyz", "/v1/types")] == [200, 200]
        # Its certificate is good, and the policy does not know its key.
        assert guest.get(port, "/v1/types").status == 401
        for client in (site.without, site.stranger, Client(site.ca.root, newest=ssl.TLSVersion.TLSv1_2)):
            with pytest.raises(REFUSED):
                client.get(port, "/v1/types")
        text = scraped(metrics_port)
        assert 'redoubt_tls_handshakes_total{listener="api",resumed="no"}' in text
        for reason in ("no-client-certificate", "old-tls-version"):
            assert f'listener="api",reason="{reason}"}} 1.0' in text
        child.signal(signal.SIGTERM)
        assert child.wait(60) == 0
    finally:
        child.kill()


async def test_a_workers_health_and_metrics_are_served_by_tls(
    tmp_path: Path, site: Site, temporal_server: DevServer
) -> None:
    made = install(tmp_path / "house", temporal_server.address, temporal_server.namespace)
    running = made.worker(
        made.pool, tls=tls(site, "required"), health_host="127.0.0.1", metrics_port=free_port()
    )

    def ready() -> bool:
        try:
            return site.client().get(running.health_port, "/readyz").status == 200
        except REFUSED:
            return False

    try:
        running.child.start()
        await asyncio.to_thread(running.child.wait_until, ready, 60, "ready")
        text = site.client().get(running.health_port, "/metrics").body.decode()
        assert f'redoubt_pool_up{{pool="{made.pool}"' in text
        assert 'redoubt_tls_handshakes_total{listener="health",resumed="no"}' in text
        for client in (site.without, site.stranger):
            with pytest.raises(REFUSED):
                client.get(running.health_port, "/metrics")
    finally:
        running.child.kill()

"""The codec server by TLS, with a certificate that Redoubt issues, puts there, verifies and renews under load."""

import http.client
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from cli.dev.process import Child, free_port, listening
from clients.settings import load
from tests.acceptance.fleet import Fleet
from tests.integration.tls.material import Client
from workers.wiring import Wiring

NAME = "codec.example.test"
SUBJECT = "codec-server"
CLIENTS = 2


def configure(fleet: Fleet, port: int, metrics_port: int) -> None:
    """The codec server's certificate is the inventory's only one; a CA of our own issues it."""
    folder = fleet.folder / "tls" / SUBJECT
    folder.mkdir(mode=0o700, parents=True)
    target = {
        "name": SUBJECT,
        "directory": str(folder),
        "reload": ["true"],
        "verify": {"host": "127.0.0.1", "port": port},
    }
    fleet.document["certificates"] = {
        SUBJECT: {"names": [NAME], "issuers": ["local"], "targets": [target], "verify_timeout_s": 90.0}
    }
    fleet.document["codec_server"] = {
        "port": port,
        "token": "file:secrets/codec-server-token",
        "tls": {"certificates": [{"directory": str(folder)}]},
    }
    fleet.document["pools"] = {"certificates": {"metrics_port": metrics_port}}
    fleet.write()


def start_codec_server(fleet: Fleet, port: int) -> None:
    argv = [sys.executable, "-m", "cli.main", "codec-server", "run"]
    child = Child("codec-server", argv, fleet.folder / "codec-server.log", fleet.environment)
    fleet.workers.append(child)
    child.start()
    child.wait_until(lambda: listening(port), 60, "ready")


@contextmanager
def load_on(client: Client, port: int) -> Iterator[list[Future[set[str]]]]:
    """Clients that connect anew for each request, without a pause; a failed handshake fails their future."""
    over = threading.Event()

    def asking() -> set[str]:
        shown = set()
        while not over.is_set():
            seen = client.get(port, "/livez", NAME)
            assert seen.status == 200
            shown.add(seen.fingerprint)
        return shown

    with ThreadPoolExecutor(CLIENTS) as threads:
        try:
            yield [threads.submit(asking) for _ in range(CLIENTS)]
        finally:
            over.set()


def metrics(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@pytest.mark.timeout(600)  # a machine under load takes its time, and the clients are a part of the load
def test_the_codec_servers_certificate_is_issued_and_then_renewed_under_load(fleet: Fleet) -> None:
    fleet.build(targets=("web-1",))
    port, metrics_port = free_port(), free_port()
    configure(fleet, port, metrics_port)
    start_codec_server(fleet, port)  # before there is a certificate: its renewal is verified by this listener
    fleet.worker()
    first = fleet.watch(fleet.start(certificate=SUBJECT))
    assert first["state"] == "COMPLETED", first
    client = Client(Wiring(load(fleet.folder / "redoubt.yaml")).issuer("local").trust_anchors())
    with load_on(client, port) as load_of:
        renewed = fleet.watch(fleet.start(certificate=SUBJECT))
    assert renewed["state"] == "COMPLETED", renewed
    shown = set().union(*(one.result() for one in load_of))
    versions = {run["result"]["fingerprints"][SUBJECT] for run in (first, renewed)}
    assert len(versions) == 2
    assert shown <= versions
    assert client.get(port, "/livez", NAME).fingerprint == renewed["result"]["fingerprints"][SUBJECT]
    told = metrics(metrics_port)
    for name in ("rotations_total", "renewals_total"):
        counted = re.findall(
            rf'^redoubt_certificate_{name}{{certificate="{SUBJECT}".* (\d+)$', told, re.MULTILINE
        )
        assert max(map(int, counted)) >= 2, name  # an attempt that timed out may have counted, too
    for name in ("not_after_seconds", "due_seconds", "issued_seconds", "last_renewal_seconds"):
        assert f'redoubt_certificate_{name}{{certificate="{SUBJECT}"' in told

"""Mutual TLS with a listener of ours, on loopback: how long a client waits for a handshake, new and resumed.

The listener is the codec server's process. Each connection asks one small question, as clients do, and so gets the
ticket by which the next one resumes; what is timed is the handshake alone.
"""

import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import yaml

from benchmarks import processes
from benchmarks.certificates.house import redoubt_once
from benchmarks.figures import Bar, Figure, Measured, Part, Say
from benchmarks.samples import Samples, percentile
from cli.dev.listener import write_loopback_certificate
from cli.dev.process import Child, free_port, listening

HANDSHAKES: Final = 500
_QUESTION: Final = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True)
class Listener:
    port: int
    child: Child
    client: ssl.SSLContext


def new(say: Say) -> Measured:
    return _measured("handshake", say, resumed=False)


def resumed(say: Say) -> Measured:
    return _measured("handshake_resumed", say, resumed=True)


def _measured(key: str, say: Say, *, resumed: bool) -> Measured:
    with tempfile.TemporaryDirectory(prefix="redoubt-bench-") as made, _listener(Path(made)) as served:
        done = _shaken(served, resumed=resumed)
        peak = processes.peak_mib(served.child.pid)
    say(f"  {HANDSHAKES} handshakes, {done.errors} failed or not of the kind that is measured")
    return Measured({f"{key}_p95_ms": round(1000 * percentile(done.seconds, 0.95), 3)}, done, peak)


@contextmanager
def _listener(folder: Path) -> Iterator[Listener]:
    version = folder / "served" / "versions" / "one"
    for made in (folder / "served", version.parent, version):
        made.mkdir(mode=0o700)
    write_loopback_certificate(folder / "roots.pem", version / "fullchain.pem", version / "key.pem")
    (version / "fullchain.pem").chmod(0o600)
    (folder / "served" / "current").symlink_to("versions/one")
    write_loopback_certificate(folder / "clients.pem", folder / "client.pem", folder / "client-key.pem")
    port = free_port()
    redoubt_once(folder, "init", "--dir", str(folder))
    (folder / "redoubt.yaml").write_text(yaml.safe_dump(_settings(folder, port)), encoding="utf-8")
    redoubt_once(folder, "store", "migrate")
    argv = [sys.executable, "-m", "cli.main", "codec-server", "run"]
    child = Child(
        "codec-server", argv, folder / "server.log", {"REDOUBT_CONFIG": str(folder / "redoubt.yaml")}
    )
    child.start()
    try:
        child.wait_until(partial(listening, port), 60, "listening")
        client = ssl.create_default_context(cafile=str(folder / "roots.pem"))
        client.load_cert_chain(folder / "client.pem", folder / "client-key.pem")
        yield Listener(port, child, client)
    finally:
        child.stop()


def _settings(folder: Path, port: int) -> dict[str, object]:
    return {
        "installation": "benchmark",
        "store": {"url": f"sqlite:///{folder / 'redoubt.sqlite'}"},
        "key_stores": {
            "codec": {
                "kind": "software",
                "path": "keys/codec",
                "master_key": "file:secrets/codec-master-key",
            }
        },
        "codec_server": {
            "port": port,
            "token": "file:secrets/codec-server-token",
            "tls": {
                "certificates": [{"directory": str(folder / "served")}],
                "client_certificates": "required",
                "client_ca_file": str(folder / "clients.pem"),
            },
        },
    }


def _shaken(served: Listener, *, resumed: bool) -> Samples:
    """An error is a handshake that failed, or was not of the kind that is measured."""
    done, session = Samples(), None
    began = time.perf_counter()
    for _ in range(HANDSHAKES + 1):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as plain:
            started = time.perf_counter()
            try:
                channel = served.client.wrap_socket(plain, server_hostname="localhost", session=session)
            except OSError:
                done.errors += 1
                continue
            took = time.perf_counter() - started
            with channel:
                first = resumed and session is None
                if channel.session_reused == resumed:
                    done.seconds.append(took)
                elif not first:
                    done.errors += 1
                channel.sendall(_QUESTION)
                while channel.recv(4096):
                    pass
                session = channel.session if resumed else None
    done.elapsed = time.perf_counter() - began
    return done


PARTS = (
    Part(
        name="handshakes",
        operation="a new handshake with client certificates on loopback",
        figures=(Figure("handshake_p95_ms", "mutual TLS on loopback", "ms", bar=Bar("at most", 50)),),
        measure=new,
    ),
    Part(
        name="handshakes_resumed",
        operation="the same, resumed by a ticket",
        figures=(
            Figure("handshake_resumed_p95_ms", "the same, resumed by a ticket", "ms", bar=Bar("at most", 50)),
        ),
        measure=resumed,
    ),
)

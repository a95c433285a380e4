"""An installation with many certificates: Temporal, Pebble, one TLS server for all names, and worker processes.

Everything but the benchmark itself runs in processes of its own: nobody shares an interpreter with what is timed.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from temporalio.client import Client

from benchmarks.figures import Say
from cli.dev.process import Child, free_port, listening
from cli.dev.servers import Pebble, PebblePorts, TemporalServer, pebble, start_temporal, temporal
from clients.settings import load
from schemas.errors import DependencyUnavailable
from workers.wiring import Wiring

WORKERS = 2
"""Processes of the pool; the machine has two cores."""


@dataclass
class House:
    folder: Path
    ca: Pebble
    server: TemporalServer
    front_port: int
    workers: list[Child]

    @property
    def names(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "targets").iterdir())

    async def client(self) -> Client:
        return await Wiring(load(self.folder / "redoubt.yaml"), "benchmark").client("certificates")


@contextmanager
def certificate_authority(folder: Path) -> Iterator[Pebble]:
    """Pebble, and the web root where it looks for answers. No nonce is refused: certbot gives up at the second."""
    ports = PebblePorts()
    ca = pebble(folder / "ca", ports, env={"PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"})
    argv = [sys.executable, "-m", "http.server", str(ports.http_01), "--bind", "127.0.0.1"]
    web = Child("web", [*argv, "--directory", str(ca.webroot)], folder / "web.log")
    web.start()
    try:
        web.wait_until(partial(listening, ports.http_01), 30, "listening")
        ca.start()
        yield ca
    finally:
        ca.stop()
        web.stop()


@contextmanager
def house(count: int, ca: Pebble, say: Say) -> Iterator[House]:
    """`count` certificates, none of them there yet."""
    with ExitStack() as ends:
        made = tempfile.TemporaryDirectory(prefix="redoubt-bench-", ignore_cleanup_errors=True)
        folder = Path(ends.enter_context(made))
        server = temporal(folder, free_port(), free_port())
        start_temporal(server)
        ends.callback(server.child.stop)
        front_port = free_port()
        argv = [
            sys.executable,
            "-m",
            "benchmarks.certificates.front",
            str(front_port),
            str(folder / "targets"),
        ]
        front = Child("front", argv, folder / "front.log")
        front.start()
        ends.callback(front.stop)
        front.wait_until(partial(listening, front_port), 30, "listening")
        redoubt_once(folder, "init", "--dir", str(folder))
        (folder / "redoubt.yaml").write_text(yaml.safe_dump(_settings(folder, ca, server, front_port, count)))
        redoubt_once(folder, "store", "migrate")
        workers = [_worker(folder, number) for number in range(WORKERS)]
        for worker in workers:
            ends.callback(worker.stop)
        say(f"  {count} certificates, {WORKERS} worker processes")
        yield House(folder, ca, server, front_port, workers)


def _settings(
    folder: Path, ca: Pebble, server: TemporalServer, front_port: int, count: int
) -> dict[str, Any]:
    return {
        "installation": "benchmark",
        "temporal": {"address": server.address},
        "store": {"url": f"sqlite:///{folder / 'redoubt.sqlite'}"},
        "key_stores": {
            "codec": {
                "kind": "software",
                "path": "keys/codec",
                "master_key": "file:secrets/codec-master-key",
            }
        },
        "challenges": {"web": {"kind": "http-01", "webroot": str(ca.webroot)}},
        "issuers": {
            "acme": {
                "kind": "acme",
                "directory": ca.directory,
                "account_key": "file:secrets/acme-account-key",
                "ca_file": str(ca.ca_file),
                "trust_file": str(ca.trust_file),
                "challenge": "web",
            }
        },
        "egress": {"allow": ["127.0.0.0/8"]},
        "certificates": {name: _certificate(folder, name, front_port) for name in _names(count)},
    }


def _names(count: int) -> list[str]:
    return [f"c{number:04}" for number in range(count)]


def _certificate(folder: Path, name: str, front_port: int) -> dict[str, Any]:
    directory = folder / "targets" / name
    directory.mkdir(parents=True, mode=0o700)
    verify = {"host": "127.0.0.1", "port": front_port}
    target = {"name": "front", "directory": str(directory), "reload": ["true"], "verify": verify}
    return {"names": [f"{name}.bench.example.com"], "issuers": ["acme"], "targets": [target]}


def _worker(folder: Path, number: int) -> Child:
    argv = [sys.executable, "-m", "cli.main", "workers", "run", "certificates"]
    health = free_port()
    env = {**_environment(folder), "REDOUBT__POOLS__CERTIFICATES__HEALTH_PORT": str(health)}
    child = Child(f"worker {number}", argv, folder / f"worker-{number}.log", env)
    child.start()
    child.wait_until(partial(listening, health), 60, "ready")
    return child


def redoubt_once(folder: Path, *words: str) -> None:
    child = Child(
        words[0], [sys.executable, "-m", "cli.main", *words], folder / f"{words[0]}.log", _environment(folder)
    )
    child.start()
    if child.wait(120):
        raise DependencyUnavailable(f"`redoubt {' '.join(words)}` failed: {child.last_words()}.")


def _environment(folder: Path) -> dict[str, str]:
    return {"REDOUBT_CONFIG": str(folder / "redoubt.yaml")}

"""How the broker starts each server: a folder in, its addresses and a way to stop it out."""

import functools
import http.server
import os
import secrets
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from cli.dev import servers
from cli.dev.ports import Ports
from cli.dev.process import Child, free_port
from cli.dev.servers import PebblePorts, pebble, start_temporal, temporal
from cli.dev.stack import Stack
from clients.tools import find
from tests.servers.bind import start_bind

Started = tuple[dict[str, str], Callable[[], None]]


def start_dev_server(folder: Path) -> Started:
    server = temporal(folder, free_port(), free_port(), durable=False)
    start_temporal(server)
    return {"address": server.address, "ui": server.ui, "namespace": server.namespace}, server.child.stop


def start_pebble(folder: Path) -> Started:
    """With 5 % of nonces refused on purpose, and its HTTP-01 web root served."""
    http_port = free_port()
    ca = pebble(
        folder, PebblePorts(http_01=http_port), env={"PEBBLE_WFE_NONCEREJECT": "5", "PEBBLE_AUTHZREUSE": "0"}
    )
    web = serve_webroot(ca.webroot, http_port)
    ca.start()

    def stop() -> None:
        ca.stop()
        web.shutdown()
        web.server_close()

    about = {
        "directory": ca.directory,
        "ca_file": str(ca.ca_file),
        "trust_file": str(ca.trust_file),
        "webroot": str(ca.webroot),
        "log": str(ca.log),
    }
    return about, stop


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *words: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the CA's own log tells what it asked for."""


def serve_webroot(webroot: Path, port: int) -> http.server.ThreadingHTTPServer:
    handler = functools.partial(_Quiet, directory=str(webroot))
    web = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    return web


def start_postgres(folder: Path) -> Started:
    """PostgreSQL refuses to run as root: then it runs as the system's user `postgres`."""
    data, port, binaries = folder / "data", free_port(), find("postgres").resolve().parent
    password = secrets.token_urlsafe(24)
    password_file = folder / "password"
    password_file.write_text(password)
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        shutil.chown(password_file, "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
    init = [*as_user, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "scram-sha-256"]
    init += ["--pwfile", str(password_file), "-E", "UTF8", "--locale", "C.UTF-8"]
    subprocess.run(init, check=True, capture_output=True, timeout=120, cwd=folder)
    serve: list[str | Path] = [
        *as_user,
        str(binaries / "postgres"),
        "-D",
        str(data),
        "-p",
        str(port),
        "-h",
        "127.0.0.1",
    ]
    serve += ["-k", str(folder), "-c", "max_connections=200"]
    child = Child("postgres", serve, folder / "postgres.log")
    child.start()
    child.wait_until(lambda: _accepts(binaries, port), 60, "ready")
    return {"address": f"127.0.0.1:{port}", "password": password}, child.stop


def _accepts(binaries: Path, port: int) -> bool:
    argv = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return subprocess.run(argv, check=False, timeout=10).returncode == 0


def start_vault(folder: Path) -> Started:
    port, token = free_port(), secrets.token_urlsafe(24)
    token_file = folder / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(token)
    vault = servers.start_vault(folder, port, token)
    return {"address": vault.address, "token_file": str(token_file)}, vault.child.stop


def start_stack(folder: Path) -> Started:
    """The embedded stack, as `redoubt dev` keeps it; its sweep is not scheduled, so that tests have it alone."""
    stack = Stack(folder / "stack", scattered_offset())
    stack.start(_silent, schedules=False)
    about = {"folder": str(stack.folder), "web_ui": stack.links()["Temporal Web UI"]}
    return about, lambda: stack.stop(_silent)


def scattered_offset() -> int:
    """Where all ports are free, below those that the kernel gives out; test runs side by side rarely meet."""
    offsets = [secrets.randbelow(430) * 37 + 1000 for _ in range(100)]
    return next(offset for offset in offsets if not Ports().moved(offset).taken())


def _silent(_words: str) -> None:
    """Nobody reads what a server of the tests says."""


STARTERS: dict[str, Callable[[Path], Started]] = {
    "temporal": start_dev_server,
    "pebble": start_pebble,
    "bind": start_bind,
    "postgres": start_postgres,
    "vault": start_vault,
    "stack": start_stack,
}

"""A small installation of its own for one test: web servers, a CA, a namespace, and worker processes to kill.

The Temporal server and Pebble are the run's shared ones unless a test brings its own; the namespace keeps the
tests' workers apart, since the task queue's name is always the capability's.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from cli.demo.oracle import CaCounts, served
from cli.dev.nginx import Nginx
from cli.dev.process import Child, free_port, listening
from cli.dev.servers import Token
from clients.tools import find
from rules.points import MARKER, POINT

NAME = "www.example.com"


def wait_until(condition: Callable[[], object], within_s: float, what: str) -> None:
    """Wait for the condition; fails the test, saying what was waited for, when it is late."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"within {within_s:.0f} s there was no sign of: {what}"
        time.sleep(0.05)


@dataclass
class Ended:
    """What a `redoubt` command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Fleet:
    folder: Path
    address: str
    ui: str
    namespace: str
    ca: Any
    """`directory`, `ca_file`, `trust_file`, `webroot`, `log`."""
    token: Token | None = None
    sites: dict[str, Nginx] = field(default_factory=dict)
    document: dict[str, Any] = field(default_factory=dict)
    workers: list[Child] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    # --- setting up -----------------------------------------------------------------------------------

    def build(self, targets: Sequence[str] = ("web-1", "web-2", "web-3"), **certificate: Any) -> "Fleet":
        """Secrets, settings, records, web servers; `certificate` overrides the settings of `www`."""
        assert self.redoubt("init", "--dir", str(self.folder)).code == 0
        self.sites = {name: self._site(name) for name in targets}
        holder = "hsm" if self.token else "target"
        self.document = {
            "installation": "test",
            "temporal": {"address": self.address, "namespace": self.namespace, "web_ui": self.ui},
            "store": {"url": f"sqlite:///{self.folder / 'redoubt.sqlite'}"},
            "evidence": {"sequence_every_s": 0.1},
            "key_stores": self._key_stores(),
            "egress": {"allow": ["127.0.0.0/8"]},
            "breakers": {"open_s": 2.0},
            "challenges": {"web": {"kind": "http-01", "webroot": str(self.ca.webroot)}},
            "issuers": {"acme": self._acme(), "local": {"kind": "local", "path": "ca", "key_store": "keys"}},
            "certificates": {
                "www": {
                    "names": [NAME],
                    "issuers": ["acme"],
                    "key": {"holder": holder},
                    "targets": [self._target(name) for name in targets],
                    "waves": [1, 2],
                    "verify_timeout_s": 20.0,
                    # Destroying waits for the log, and most tests run no sequencer.
                    "after_grace": {"destroy_keys": False},
                    **certificate,
                }
            },
        }
        self.write()
        migrated = self.redoubt("store", "migrate")
        assert migrated.code == 0, migrated.err
        for site in self.sites.values():
            site.start()
        return self

    def write(self) -> None:
        """Write `document` as the settings file; workers read it when they start."""
        (self.folder / "redoubt.yaml").write_text(yaml.safe_dump(self.document))

    @property
    def www(self) -> dict[str, Any]:
        settings: dict[str, Any] = self.document["certificates"]["www"]
        return settings

    def target(self, name: str) -> dict[str, Any]:
        return next(one for one in self.www["targets"] if one["name"] == name)

    def _site(self, name: str) -> Nginx:
        home = self.folder / "sites" / name
        return Nginx(home, free_port(), home / "tls", token=self.token)

    def _target(self, name: str) -> dict[str, Any]:
        site = self.sites[name]
        pin = {"pin_file": str(self.token.pin_file)} if self.token else {}
        verify = {"host": "127.0.0.1", "port": site.port}
        return {
            "name": name,
            "directory": str(site.target),
            "reload": list(site.reload),
            "verify": verify,
            **pin,
        }

    def _key_stores(self) -> dict[str, Any]:
        stores: dict[str, Any] = {
            "codec": {
                "kind": "software",
                "path": "keys/codec",
                "master_key": "file:secrets/codec-master-key",
            },
            "keys": {"kind": "software", "path": "keys/own", "master_key": "file:secrets/keys-master-key"},
        }
        if self.token:
            pin = f"file:{self.token.pin_file}"
            module = str(self.token.module)
            stores["hsm"] = {"kind": "pkcs11", "module": module, "token": self.token.label, "pin": pin}
        return stores

    def _acme(self) -> dict[str, Any]:
        return {
            "kind": "acme",
            "directory": self.ca.directory,
            "account_key": "file:secrets/acme-account-key",
            "ca_file": str(self.ca.ca_file),
            "trust_file": str(self.ca.trust_file),
            "challenge": "web",
        }

    # --- acting, as people do -------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        token = self.token.env if self.token else {}
        return {"REDOUBT_CONFIG": str(self.folder / "redoubt.yaml"), **token, **self.env}

    def redoubt(self, *words: str, given: str = "") -> Ended:
        """Run the command to its end."""
        ended = subprocess.run(
            [sys.executable, "-m", "cli.main", *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
            env={**os.environ, **self.environment},
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def start(self, *, force: bool = True, certificate: str = "www") -> str:
        """Start a renewal; returns its workflow ID."""
        given = json.dumps({"certificate": certificate, "force": force})
        started = self.redoubt("start", "CertificateRenewal", "--input", "-", "-o", "json", given=given)
        assert started.code == 0, started.err
        return str(started.json["workflow_id"])

    def watch(self, workflow_id: str = "certificate-renewal/www") -> dict[str, Any]:
        """Wait for the run's end; its row: `state`, `phase`, `result`, `error` (`code`, `detail`)."""
        row: dict[str, Any] = self.redoubt("watch", workflow_id, "-o", "json").json
        return row

    def renew(self) -> dict[str, Any]:
        return self.watch(self.start())

    def worker(
        self,
        *,
        crash_at: str = "",
        name: str = "worker",
        pools: Sequence[str] = ("certificates",),
        only: str = "",
        ready: bool = True,
    ) -> Child:
        """Start a worker process and wait until it is `ready`; with `crash_at` it stops itself there, to be killed."""
        health = free_port()
        env = {**self.environment, f"REDOUBT__POOLS__{pools[0].upper()}__HEALTH_PORT": str(health)}
        if crash_at:
            self.marker.unlink(missing_ok=True)
            env |= {POINT: crash_at, MARKER: str(self.marker)}
        argv = [
            sys.executable,
            "-m",
            "cli.main",
            "workers",
            "run",
            *pools,
            *(("--only", only) if only else ()),
        ]
        child = Child(name, argv, self.folder / f"{name}.log", env)
        child.start()
        self.workers.append(child)
        if ready:
            child.wait_until(lambda: listening(health), 60, "ready")
        return child

    @property
    def marker(self) -> Path:
        return self.folder / "reached"

    def kill_at(self, point: str, doing: Callable[[], object]) -> None:
        """Run `doing` with a worker that stops at `point`; SIGKILL it there."""
        doomed = self.worker(crash_at=point, name=f"doomed-{point.partition(':')[0]}")
        doing()
        wait_until(self.marker.exists, 90, f"the worker at {point}")
        doomed.kill()

    # --- looking, without our code --------------------------------------------------------------------

    def shown(self, roots: Path | None = None) -> dict[str, str]:
        """What each web server shows in a handshake that verifies; a server that refuses is absent."""
        seen = {}
        for name, site in self.sites.items():
            try:
                seen[name] = served(site.port, NAME, roots or self.ca.trust_file)
            except OSError:
                continue
        return seen

    def counts(self) -> CaCounts:
        """Of the whole CA: a test that counts brings a CA of its own."""
        return CaCounts.read(Path(self.ca.log))

    def stop(self) -> None:
        for child in self.workers:
            child.kill()
        for site in self.sites.values():
            site.stop()


def make_namespace(address: str) -> str:
    """A namespace of its own, with the search attributes, ready to be used."""
    name = f"test-{secrets.token_hex(4)}"
    _temporal(address, "operator", "namespace", "create", "--namespace", name)
    for attribute in ("RedoubtPhase", "RedoubtSubject", "RedoubtSeverity", "RedoubtCorrelationId"):
        wait_until(partial(_attribute, address, name, attribute), 30, f"{attribute} in {name}")
    return name


def _attribute(address: str, namespace: str, attribute: str) -> bool:
    words = ["operator", "search-attribute", "create", "--namespace", namespace]
    ended = _try_temporal(address, *words, "--name", attribute, "--type", "Keyword")
    return ended.returncode == 0 or b"already exists" in ended.stderr


def _temporal(address: str, *words: str) -> None:
    ended = _try_temporal(address, *words)
    assert ended.returncode == 0, ended.stderr.decode()


def _try_temporal(address: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    argv = [str(find("temporal")), *words, "--address", address]
    return subprocess.run(argv, capture_output=True, timeout=60, check=False)

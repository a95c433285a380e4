"""One installation in a folder: settings, secrets, migrated records and a first payload key."""

import json
import secrets
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from cli.dev.process import Child, free_port
from clients.settings import load
from store.sql.migrations import migrate
from workers.wiring import Wiring

TINY = "tests.integration.workers.tiny_pool"


@dataclass
class Installation:
    folder: Path
    document: dict[str, Any]
    pool: str = field(default_factory=lambda: f"tiny-{secrets.token_hex(4)}")
    """The tiny pool's name and queue: tests at once, on one server, don't take each other's tasks."""

    @property
    def file(self) -> Path:
        return self.folder / "redoubt.yaml"

    def write(self) -> None:
        self.file.write_text(yaml.safe_dump(self.document))

    def secret(self, name: str, value: str) -> str:
        file = self.folder / name
        file.touch(mode=0o600)
        file.write_text(value)
        return f"file:{name}"

    @cached_property
    def wiring(self) -> Wiring:
        return Wiring(load(self.file))

    def worker(self, *pools: str, name: str = "worker", module: str = TINY, **pool: Any) -> "Running":
        """A worker process on these settings; `pool` is the first pool's settings."""
        health = free_port()
        self.document.setdefault("pools", {})[pools[0]] = {"health_port": health, **pool}
        settings = self.folder / f"{name}.yaml"
        settings.write_text(yaml.safe_dump(self.document))
        env = {"REDOUBT_CONFIG": str(settings), "TINY_FOLDER": str(self.folder)}
        words = ["workers", "run", *pools] if module == "cli.main" else list(pools)
        child = Child(name, [sys.executable, "-m", module, *words], self.folder / f"{name}.log", env)
        return Running(child, health)


@dataclass
class Running:
    child: Child
    health_port: int

    def start(self, *more: str) -> "Running":
        self.child.argv += more
        self.child.start()
        self.child.wait_until(self.ready, 60, "ready")
        return self

    def ready(self) -> bool:
        return self.ask("/readyz")[0] == 200

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}{path}", timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)
        except OSError:
            return 0, {}

    def said(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        lines = self.child.log.read_text().splitlines() if self.child.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]


def install(folder: Path, address: str, namespace: str = "default") -> Installation:
    made = Installation(folder, {})
    made.document = {
        "temporal": {"address": address, "namespace": namespace},
        "store": {"url": "sqlite:///redoubt.sqlite"},
        "evidence": {
            "log_key": made.secret("log-key", secrets.token_hex(32)),
            "spool_key": made.secret("spool-key", secrets.token_hex(32)),
            "sequence_every_s": 0.05,
        },
        "key_stores": {
            "codec": {
                "kind": "software",
                "path": "codec-keys",
                "master_key": made.secret("codec-master-key", secrets.token_hex(32)),
            }
        },
    }
    made.write()
    migrate(made.wiring.engine())
    made.wiring.key_ring().rotate()
    return made

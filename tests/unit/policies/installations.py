"""Small installations with real records, keys and local CAs, whose steps a test calls as activities of a run."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.certificates.steps import Surroundings
from clients.settings import load
from schemas.policies import Policy
from store.sql.migrations import migrate
from store.sql.policies import SqlPolicies
from tests.unit.policies.test_chain import put, written
from workers.wiring import Wiring

NAMES = ("web-1", "web-2", "web-3", "pay-1", "other")


def as_run(name: str, **info: Any) -> ActivityEnvironment:
    environment = started()
    own = {"workflow_id": f"certificate-renewal/{name}", "workflow_run_id": "1"}
    environment.info = replace(environment.info, **{**own, **info})
    return environment


def started(at: datetime | None = None) -> ActivityEnvironment:
    """An attempt that has just begun, `at` this moment by the server's clock."""
    environment = ActivityEnvironment()
    now = at or datetime.now(UTC)
    environment.info = replace(environment.info, started_time=now, scheduled_time=now)
    return environment


def installed(folder: Path, some: Policy | None, certificates: dict[str, Any] | None = None) -> Surroundings:
    """An installation with certificates that no target holds yet, so that each is due."""
    secret = folder / "secrets" / "spool-key"
    secret.parent.mkdir()
    secret.touch(mode=0o600)
    secret.write_text("1f" * 16 + "2e" * 16)
    document: dict[str, Any] = {
        "installation": "test",
        "store": {"url": f"sqlite:///{folder}/records.sqlite"},
        "key_stores": {
            name: {"kind": "software", "path": str(folder / name), "master_key": f"file:{secret}"}
            for name in ("keys", "codec")
        },
        "issuers": {
            name: {"kind": "local", "path": str(folder / name), "key_store": "keys"}
            for name in ("local", "second")
        },
        "certificates": certificates or {name: certificate(folder, name) for name in NAMES},
    }
    if some is not None:
        document["policy"] = {"root_sha256": hashlib.sha256(written(some)).hexdigest()}
    (folder / "redoubt.yaml").write_text(json.dumps(document))
    wiring = Wiring(load(folder / "redoubt.yaml"))
    migrate(wiring.engine())
    wiring.key_ring().rotate()
    if some is not None:
        put(SqlPolicies(wiring.engine()), 1, written(some))
    return wiring.certificate_surroundings()


def certificate(folder: Path, name: str, targets: tuple[str, ...] = (), **settings: Any) -> dict[str, Any]:
    return {
        "names": [f"{name}.example.com"],
        "issuers": ["local"],
        "targets": [_target(folder / one, one) for one in targets or (name,)],
        "key": {"holder": "keys"},
        **settings,
    }


def _target(folder: Path, name: str) -> dict[str, Any]:
    folder.mkdir()
    verify = {"host": "127.0.0.1", "port": 1}
    return {"name": name, "directory": str(folder), "reload": ["true"], "verify": verify}

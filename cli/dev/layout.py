"""The embedded stack's settings: three web servers behind one name, whose key lies in a SoftHSM token if it has one.

Written anew at each start, for the ports of this start; whoever wants other settings copies the file.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cli.dev import governed
from cli.dev.nginx import Nginx
from cli.dev.ports import Ports
from cli.dev.servers import Pebble

SETTINGS = "redoubt.yaml"
ENVIRONMENT = "env"
"""For a shell to read: what `redoubt` commands need to speak with this stack."""
TOKEN = "redoubt-dev"  # noqa: S105 - a token's label, not a secret
PIN = "hsm/pin"
LOCAL_CA = "ca"
"""The folder of the issuer `local`."""
WEB = ("web-1", "web-2", "web-3")
SHOP = "shop-1"
SHOP_PATIENCE_S = 20.0
"""How long its first CA is tried before the second."""
_HEAD = "# Written by `redoubt dev` at each start. Copy it to change it.\n"


@dataclass(frozen=True)
class Found:
    """What the settings point at, outside the stack's own choice."""

    module: Path | None
    """SoftHSM's PKCS#11 module; None: there is no token, and each web server makes its own key."""
    sites: Mapping[str, Nginx]
    """None: there are no web servers."""
    ca: Pebble | None
    """None: the local CA alone issues."""
    sweep_every_s: int


def settings(folder: Path, ports: Ports, found: Found) -> str:
    document: dict[str, Any] = {
        "installation": "dev",
        "temporal": {"address": f"127.0.0.1:{ports.temporal}", "web_ui": f"http://127.0.0.1:{ports.web_ui}"},
        "codec_server": {
            "port": ports.codec_server,
            "token": _secret("codec-server-token"),
            "secret_path": _secret("codec-server-path"),
            "allowed_origins": [f"http://127.0.0.1:{ports.web_ui}", f"http://localhost:{ports.web_ui}"],
        },
        "store": {"url": f"sqlite:///{folder / 'redoubt.sqlite'}"},
        "evidence": {"origin": "dev.redoubt.invalid/log"},
        "key_stores": {
            "codec": {"kind": "software", "path": "keys/codec", "master_key": _secret("codec-master-key")},
            "keys": {"kind": "software", "path": "keys/own", "master_key": _secret("keys-master-key")},
            **_hsm(found.module),
        },
        # Pebble listens on loopback, and so do its links.
        "egress": {"allow": ["127.0.0.0/8"]},
        "challenges": {"web": {"kind": "http-01", "webroot": str(found.ca.webroot)}} if found.ca else {},
        "issuers": {
            **({"acme": _acme(found.ca)} if found.ca else {}),
            "local": {"kind": "local", "path": LOCAL_CA, "key_store": "keys"},
        },
        "certificates": _certificates(found) if found.sites else {},
        "pools": {
            "certificates": {
                "health_port": ports.certificates_health,
                "metrics_port": ports.certificates_metrics,
                "graceful_shutdown_s": 10.0,
            },
            "audit": {"health_port": ports.audit_health},
        },
        "schedules": {
            "certificate-sweep": {
                "workflow": "CertificateSweep",
                "input": {"max_concurrent": 10},
                "every_s": found.sweep_every_s,
            }
        },
        "telemetry": {"log_format": "json"},
    }
    if governed.is_governed(folder):
        governed.add(document, folder, ports)
    return _HEAD + yaml.safe_dump(document, sort_keys=False)


def _acme(ca: Pebble) -> dict[str, Any]:
    return {
        "kind": "acme",
        "directory": ca.directory,
        "account_key": _secret("acme-account-key"),
        "contact": ["mailto:security@example.com"],
        "ca_file": str(ca.ca_file),
        "trust_file": str(ca.trust_file),
        "challenge": "web",
    }


def _certificates(found: Found) -> dict[str, Any]:
    holder = "hsm" if found.module else "target"
    www = _certificate("www.example.com", WEB, {"algorithm": "EC-P256", "holder": holder}, found.sites)
    shop = _certificate("shop.example.com", (SHOP,), {"holder": "target"}, found.sites)
    issuers = ["acme", "local"] if found.ca else ["local"]
    return {
        "www": {**www, "issuers": issuers[:1]},
        "shop": {**shop, "issuers": issuers, "issuer_patience_s": SHOP_PATIENCE_S},
    }


def _hsm(module: Path | None) -> dict[str, Any]:
    if module is None:
        return {}
    return {"hsm": {"kind": "pkcs11", "module": str(module), "token": TOKEN, "pin": f"file:{PIN}"}}


def _secret(name: str) -> str:
    return f"file:secrets/{name}"


def _certificate(
    name: str, targets: Sequence[str], key: dict[str, str], sites: Mapping[str, Nginx]
) -> dict[str, Any]:
    return {
        "names": [name],
        "key": key,
        "targets": [_target(target, sites[target]) for target in targets],
        "waves": [1, 2],
        "verify_timeout_s": 10.0,
    }


def _target(name: str, site: Nginx) -> dict[str, Any]:
    return {
        "name": name,
        "directory": str(site.target),
        "reload": list(site.reload),
        "verify": {"host": "127.0.0.1", "port": site.port},
        **({"pin_file": str(site.token.pin_file)} if site.token else {}),
    }


def environment(folder: Path) -> dict[str, str]:
    """What every process of the stack gets: the settings, and where SoftHSM keeps its tokens."""
    return {**_own(folder), "PATH": os.environ.get("PATH", os.defpath)}


def exports(folder: Path) -> str:
    """The same for a person's shell."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in _own(folder).items())


def _own(folder: Path) -> dict[str, str]:
    return {
        "REDOUBT_CONFIG": str(folder / SETTINGS),
        "SOFTHSM2_CONF": str(folder / "hsm" / "softhsm2.conf"),
    }

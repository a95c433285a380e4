"""The embedded stack under a policy: keys, the policy file, and the API that the policy lets vouch.

Rules:
- The folder `policy` is what makes a stack governed: once it is there, each later start has the policy too.
- Whoever has the folder has every key in it. It shows how a policy works; it protects nothing.
- Olga operates and signs each `redoubt start`. Two of Anna, Ben and Cleo must agree to a renewal of `www`, and to
  nothing else. The robot calls the API by its client certificate.
- Nobody holds the admin's key: it is of no FIDO2 key, and forgotten as soon as it is made. So this policy never
  changes.
"""

import base64
import hashlib
import shutil
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.dev.listener import write_loopback_certificate
from cli.dev.ports import Ports
from clients.identities.client_certificates import fingerprint
from clients.secrets.files import store_file

FOLDER = "policy"
POLICY = f"{FOLDER}/policy.yaml"
APPROVERS = ("anna", "ben", "cleo")
OPERATOR = "olga"
ROBOT = "robot"
WEB_UI = "web-ui"
"""Whoever sits before the Web UI, which shows nobody: it may decode."""
API_NAME = "api.example.com"
API_ISSUER = "local"
_ADMIN = "root"
_SERVICES = ("service:api", "service:certificates")


def is_governed(folder: Path) -> bool:
    return (folder / POLICY).exists()


def key_file(folder: Path, name: str) -> Path:
    """The private key of a person or a service of the policy."""
    return folder / FOLDER / f"{name.replace(':', '-')}.pem"


def client_files(folder: Path) -> tuple[Path, Path, Path]:
    """The CA that the API admits clients of, the robot's certificate, and its key."""
    own = folder / FOLDER
    return own / "clients-ca.pem", own / f"{ROBOT}-certificate.pem", own / f"{ROBOT}-key.pem"


def write_policy(folder: Path) -> Path:
    """Make the keys, and the policy file that names them; returns the file. Done once, it stays as it is."""
    file = folder / POLICY
    if file.exists():
        return file
    # What an earlier attempt has left names keys that no policy knows.
    shutil.rmtree(file.parent, ignore_errors=True)
    file.parent.mkdir(mode=0o700)
    write_loopback_certificate(*client_files(folder))
    robot = fingerprint(client_files(folder)[1].read_text("ascii"))
    keys = {name: _made(folder, name) for name in (*APPROVERS, OPERATOR, *_SERVICES)}
    draft = file.with_suffix(".draft")
    draft.write_text(yaml.safe_dump(_policy(keys, robot), sort_keys=False), "utf-8")
    draft.rename(file)
    return file


def add(document: dict[str, Any], folder: Path, ports: Ports) -> None:
    """Put the policy, the API and the API's certificate into the settings."""
    served = folder / "sites" / "api"
    served.mkdir(mode=0o700, parents=True, exist_ok=True)
    document["policy"] = {
        "root_sha256": hashlib.sha256((folder / POLICY).read_bytes()).hexdigest(),
        "sign_as": OPERATOR,
        "sign_with": f"file:{key_file(folder, OPERATOR)}",
        "service_key": f"file:{key_file(folder, 'service:certificates')}",
    }
    document["codec_server"]["secret_path_principal"] = WEB_UI
    document["api"] = {
        "port": ports.api,
        "signing_key": f"file:{key_file(folder, 'service:api')}",
        "tls": {
            "certificates": [{"directory": str(served)}],
            "client_certificates": "required",
            "client_ca_file": str(client_files(folder)[0]),
        },
    }
    target = {
        "name": "api",
        "directory": str(served),
        # The listener sees the switch by itself.
        "reload": ["true"],
        "verify": {"host": "127.0.0.1", "port": ports.api},
    }
    document["certificates"]["api"] = {
        "names": [API_NAME],
        "issuers": [API_ISSUER],
        "targets": [target],
        "verify_timeout_s": 60.0,
    }


def _policy(keys: dict[str, dict[str, str]], robot: str) -> dict[str, Any]:
    principals: dict[str, Any] = {name: {"signing_keys": [key]} for name, key in keys.items()}
    principals["service:api"]["vouches_for"] = ["client-certificate"]
    nobodys = _public(ec.generate_private_key(ec.SECP256R1()), _ADMIN)
    principals[_ADMIN] = {
        "signing_keys": [{**nobodys, "kind": "fido2", "relying_party": "dev.redoubt.invalid"}]
    }
    principals[ROBOT] = {"client_certificates": [robot]}
    principals[WEB_UI] = {}
    return {
        "installation": "dev",
        "version": 1,
        "principals": principals,
        "grants": [
            {"role": "admin", "principals": [_ADMIN]},
            {
                "role": "operator",
                "principals": [OPERATOR, ROBOT, "service:certificates"],
                "capability": "certificates",
            },
            {"role": "approver", "principals": list(APPROVERS), "capability": "certificates"},
            {"role": "viewer", "principals": ["unknown"]},
            {"role": "auditor", "principals": [WEB_UI]},
        ],
        "approvals": [
            {
                "capability": "certificates",
                "workflow_types": ["CertificateRenewal"],
                "scopes": ["www"],
                "needed": 2,
                "groups": [{"name": "security", "approvers": list(APPROVERS)}],
            }
        ],
    }


def _made(folder: Path, name: str) -> dict[str, str]:
    """A new key in its file; returns its public half."""
    private = Ed25519PrivateKey.generate()
    plain = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    store_file(key_file(folder, name), plain)
    return _public(private, name)


def _public(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, name: str) -> dict[str, str]:
    """As the policy takes it."""
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    shown = f"{name.rpartition(':')[2]}-1"
    return {"id": shown, "kind": "file", "public_key": base64.b64encode(public).decode("ascii")}

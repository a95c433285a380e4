"""How each real part is started for one machine: the Temporal dev server, the ACME CA, a token.

The dev stack, the demo, the benchmarks and the tests all start them here.
"""

import json
import os
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cli.dev.process import Child, free_port, listening
from clients.tools import find
from schemas.errors import DependencyUnavailable
from schemas.runs import SEARCH_ATTRIBUTES

NINETY_DAYS_S = 7_776_000

_FEWER_COLLECTIONS = {"GOGC": "400", "GOMEMLIMIT": "1GiB"}
"""Go's garbage collector took a seventh of the server's CPU time with its default, which spares memory we have."""


@dataclass
class TemporalServer:
    child: Child
    address: str
    ui: str
    namespace: str = "default"


def temporal(
    folder: Path, port: int, ui_port: int, *, codec_endpoint: str | None = None, durable: bool = True
) -> TemporalServer:
    """The dev server with its Web UI; `durable` keeps its state in a file and syncs each commit."""
    argv: list[str | Path] = [
        find("temporal"),
        "server",
        "start-dev",
        "--ip",
        "127.0.0.1",
        "--log-level",
        "error",
    ]
    argv += ["--port", str(port), "--ui-port", str(ui_port), "--http-port", "0"]
    # A worker that ends a workflow task gets the activities that it has scheduled with the answer.
    argv += ["--dynamic-config-value", "system.enableActivityEagerExecution=true"]
    for name in SEARCH_ATTRIBUTES:
        argv += ["--search-attribute", f"{name}=Keyword"]
    if durable:
        argv += ["--db-filename", folder / "temporal.sqlite"]
        argv += ["--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", "synchronous=2"]
    if codec_endpoint:
        argv += ["--ui-codec-endpoint", codec_endpoint]
    child = Child("temporal", argv, folder / "temporal.log", _FEWER_COLLECTIONS)
    return TemporalServer(child, f"127.0.0.1:{port}", f"http://127.0.0.1:{ui_port}")


def start_temporal(server: TemporalServer) -> Child:
    server.child.start()
    server.child.wait_until(lambda: _temporal_answers(server), 60, "ready")
    return server.child


def _temporal_answers(server: TemporalServer) -> bool:
    if not listening(int(server.address.rpartition(":")[2])) or not listening(
        int(server.ui.rpartition(":")[2])
    ):
        return False
    argv: list[str | Path] = [
        find("temporal"),
        "operator",
        "search-attribute",
        "list",
        "--address",
        server.address,
    ]
    answer = subprocess.run(argv, capture_output=True, timeout=20, check=False)
    return answer.returncode == 0 and all(name.encode() in answer.stdout for name in SEARCH_ATTRIBUTES)


@dataclass
class VaultDev:
    """Vault in its development mode: in memory, unsealed, on loopback without TLS."""

    child: Child
    address: str
    token: str
    """Root's."""


def start_vault(folder: Path, port: int, token: str) -> VaultDev:
    address = f"127.0.0.1:{port}"
    argv: list[str | Path] = [
        find("vault"),
        "server",
        "-dev",
        "-dev-listen-address",
        address,
        "-dev-no-store-token",
    ]
    # By the environment, so that no list of processes shows it.
    env = {"VAULT_DEV_ROOT_TOKEN_ID": token, "HOME": str(folder)}
    child = Child("vault", argv, folder / "vault.log", env)
    child.start()
    child.wait_until(lambda: listening(port), 60, "ready")
    return VaultDev(child, f"http://{address}", token)


@dataclass
class Pebble:
    """Pebble with a name server that answers 127.0.0.1 for every name.

    It validates HTTP-01 at `http_port`, which a web server of the caller's serves from `webroot`, and TLS-ALPN-01 at
    `tls_port`. Its roots and
    all that it issued live in memory: a restart is a new CA.
    """

    folder: Path
    directory: str
    management: str
    http_port: int
    tls_port: int
    ca_file: Path
    webroot: Path
    trust_file: Path
    names: Child
    ca: Child

    @property
    def log(self) -> Path:
        return self.folder / "pebble.log"

    def start(self) -> None:
        self.start_names()
        self.start_ca()

    def start_names(self) -> Child:
        self.names.start()
        return self.names

    def start_ca(self) -> Child:
        self.ca.start()
        self.ca.wait_until(self.answers, 30, "ready")
        self.fetch_roots()
        return self.ca

    def stop(self) -> None:
        self.ca.stop()
        self.names.stop()

    def fetch_roots(self) -> None:
        """Each start of Pebble has a root of its own."""
        self.trust_file.write_bytes(self._get("/roots/0"))

    def answers(self) -> bool:
        return listening(_port(self.directory)) and listening(_port(self.management))

    def _get(self, path: str) -> bytes:
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(self.management + path, context=trust, timeout=10) as answer:  # noqa: S310 - our own https URL
            body: bytes = answer.read(1 << 20)
            return body


def _port(url: str) -> int:
    return int(url.split("/")[2].rpartition(":")[2])


@dataclass(frozen=True)
class PebblePorts:
    http_01: int = field(default_factory=free_port)
    tls_alpn_01: int = field(default_factory=free_port)
    directory: int = field(default_factory=free_port)
    management: int = field(default_factory=free_port)
    names: int = field(default_factory=free_port)
    names_management: int = field(default_factory=free_port)


def pebble(  # noqa: PLR0913 - what the CA is like
    folder: Path,
    ports: PebblePorts,
    *,
    env: Mapping[str, str] | None = None,
    eab: bool = False,
    valid_s: int = NINETY_DAYS_S,
    profiles: Mapping[str, int] | None = None,
    names_at: str | None = None,
    caa_identities: tuple[str, ...] = (),
) -> Pebble:
    """Configure Pebble in `folder`; `env` sets what it simulates (PEBBLE_WFE_NONCEREJECT and others).

    `profiles` gives names to times of validity in seconds, `names_at` another name server (ADDRESS:PORT) to ask,
    `caa_identities` what its directory says it is called in CAA records.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "webroot").mkdir(exist_ok=True)
    (folder / "roots.pem").touch()
    ca_file, certificate, key = _listener_certificate(folder)
    config: dict[str, object] = {
        "listenAddress": f"127.0.0.1:{ports.directory}",
        "managementListenAddress": f"127.0.0.1:{ports.management}",
        "certificate": str(certificate),
        "privateKey": str(key),
        "httpPort": ports.http_01,
        "tlsPort": ports.tls_alpn_01,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": eab,
        "externalAccountMACKeys": {EAB_KEY_ID: EAB_HMAC_KEY} if eab else {},
        "caaIdentities": list(caa_identities),
        "retryAfter": {"authz": 1, "order": 1},
        "profiles": {
            name: {"description": name, "validityPeriod": seconds}
            for name, seconds in (profiles or {"default": valid_s}).items()
        },
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}, indent=2), encoding="utf-8")
    our_names = f"127.0.0.1:{ports.names}"
    names = Child(
        "pebble-challtestsrv",
        [
            *(find("pebble-challtestsrv"), "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""),
            *("-dnsserver", our_names, "-management", f"127.0.0.1:{ports.names_management}"),
            *("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""),
        ],
        folder / "names.log",
    )
    ca = Child(
        "pebble",
        [find("pebble"), "-config", folder / "pebble.json", "-dnsserver", names_at or our_names],
        folder / "pebble.log",
        {"PEBBLE_VA_NOSLEEP": "1", **(env or {})},
    )
    return Pebble(
        folder=folder,
        directory=f"https://127.0.0.1:{ports.directory}/dir",
        management=f"https://127.0.0.1:{ports.management}",
        http_port=ports.http_01,
        tls_port=ports.tls_alpn_01,
        ca_file=ca_file,
        webroot=folder / "webroot",
        trust_file=folder / "roots.pem",
        names=names,
        ca=ca,
    )


# For Pebble's own tests of External Account Binding; they protect nothing.
EAB_KEY_ID = "kid-1"
EAB_HMAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def _listener_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """A certificate for Pebble's own TLS on loopback, made once; nothing else trusts it."""
    ca, certificate, key = folder / "listener-ca.pem", folder / "listener.pem", folder / "listener-key.pem"
    if not certificate.exists():
        from cli.dev.listener import write_loopback_certificate  # noqa: PLC0415 - cryptography loads only here

        write_loopback_certificate(ca, certificate, key)
    return ca, certificate, key


@dataclass
class Token:
    """A SoftHSM token of its own; whoever uses it needs `env` before the module is loaded."""

    module: Path
    label: str
    pin_file: Path
    env: dict[str, str]
    first_certificate: Path
    """Of the key that is in it from the beginning: web servers load it when they start, and show it to nobody."""

    @property
    def first_key(self) -> str:
        return f"pkcs11:token={self.label};id=%{_FIRST_KEY};type=private"

    @property
    def pin_ref(self) -> str:
        return f"file:{self.pin_file}"

    @property
    def token(self) -> str:
        return self.label


def softhsm(folder: Path, label: str, pin_file: Path, so_pin: str) -> Token:
    """Initialise a token in `folder`, once, with its first key; its PIN is what `pin_file` holds."""
    tokens = folder / "tokens"
    tokens.mkdir(parents=True, exist_ok=True, mode=0o700)
    config = folder / "softhsm2.conf"
    config.write_text(
        f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n", "utf-8"
    )
    env = {"SOFTHSM2_CONF": str(config)}
    pin = pin_file.read_text("ascii").strip()
    if not _has_token(label, env):
        made = _softhsm2_util(
            env, "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", so_pin
        )
        if made.returncode:
            raise DependencyUnavailable(f"softhsm2-util could not make a token in {folder}.")
    token = Token(find("libsofthsm2.so"), label, pin_file, env, folder / f"{label}.pem")
    if not token.first_certificate.exists():
        _import_first_key(token, pin)
    return token


_FIRST_KEY = "00"
"""Its CKA_ID in hexadecimal; those of our key stores are longer."""


def _import_first_key(token: Token, pin: str) -> None:
    """Its file is gone once the token has it."""
    from cli.dev.listener import write_loopback_certificate  # noqa: PLC0415 - cryptography loads only here

    with tempfile.TemporaryDirectory(dir=token.first_certificate.parent) as private:
        certificate, key = Path(private, "certificate.pem"), Path(private, "key.pem")
        write_loopback_certificate(Path(private, "ca.pem"), certificate, key)
        words = ("--import", str(key), "--token", token.label, "--label", "first", "--id", _FIRST_KEY)
        if _softhsm2_util(token.env, *words, "--pin", pin).returncode:
            raise DependencyUnavailable(
                f"softhsm2-util could not give the token {token.label} its first key."
            )
        certificate.rename(token.first_certificate)


def _has_token(label: str, env: Mapping[str, str]) -> bool:
    shown = _softhsm2_util(env, "--show-slots").stdout.decode()
    return any(line.partition(":")[2].strip() == label for line in shown.splitlines() if "Label:" in line)


def _softhsm2_util(env: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[bytes]:
    argv = [str(find("softhsm2-util")), *words]
    return subprocess.run(argv, env={**os.environ, **env}, capture_output=True, timeout=60, check=False)

"""Two real BINDs: a primary that takes signed updates, and a secondary that follows it, or not.

- `example.com` is followed at once: the primary notifies. `*.example.com` leads to 127.0.0.1.
- `acme.test` too; a test that wants CNAME delegation points into it.
- `stale.test` is not notified: the secondary stays behind until somebody tells it to look (`look_again`).
Both answer on one port, on two addresses of loopback, as authoritative servers share port 53. BIND listens on none
but the addresses of the machine's interfaces, so what comes to the secondary's is handed on to it.
"""

import base64
import contextlib
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.rdatatype

from cli.dev.process import Child, free_port
from clients.tools import find
from schemas.settings.challenges import DnsUpdate, Visibility
from schemas.settings.dependencies import ResolverSettings

PRIMARY, SECONDARY = "127.0.0.1", "127.0.0.2"
KEY_NAME = "redoubt"
FOLLOWED, DELEGATED, STALE = "example.com", "acme.test", "stale.test"
_ZONES = (FOLLOWED, DELEGATED, STALE)

_ZONE = """$TTL 5
@ SOA ns1 hostmaster 1 86400 86400 864000 5
@ NS ns1
@ NS ns2
ns1 A 127.0.0.1
ns2 A 127.0.0.2
* A 127.0.0.1
"""
_OPTIONS = """options {{
  directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key"; lock-file none;
  listen-on port {port} {{ {address}; }}; listen-on-v6 {{ none; }};
  recursion no; dnssec-validation no; notify no; allow-transfer {{ 127.0.0.0/8; }};
  allow-notify {{ 127.0.0.0/8; }};
}};
controls {{ }};
"""


@dataclass(frozen=True)
class Bind:
    port: int
    secondary_port: int
    """Where the secondary really listens, on the primary's address."""
    secret: bytes
    """The TSIG key, base64."""

    def update(self, **more: object) -> DnsUpdate:
        given = {"server": PRIMARY, "port": self.port, "key_name": KEY_NAME, "secret": "env:TSIG", **more}
        return DnsUpdate.model_validate(given)

    def visibility(self, timeout_s: float = 60.0) -> Visibility:
        return Visibility(port=self.port, timeout_s=timeout_s)

    @property
    def resolver(self) -> ResolverSettings:
        return ResolverSettings(servers=(f"{PRIMARY}#{self.port}",), timeout_s=20)

    def look_again(self, zone: str) -> None:
        """Tell the secondary that the zone has changed, as a primary does."""
        message = dns.message.make_query(zone, dns.rdatatype.SOA)
        message.set_opcode(dns.opcode.NOTIFY)
        message.flags |= dns.flags.AA
        dns.query.udp(message, PRIMARY, timeout=20, port=self.secondary_port)


def start_bind(folder: Path) -> tuple[dict[str, str], Callable[[], None]]:
    bind = Bind(free_port(), free_port(), base64.b64encode(secrets.token_bytes(32)))
    primary = _named(folder / "primary", bind.port, _primary_zones(bind))
    secondary = _named(folder / "secondary", bind.secondary_port, _secondary_zones(bind.port))
    handed_on = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    handed_on.bind((SECONDARY, bind.port))
    threading.Thread(target=_hand_on, args=(handed_on, bind.secondary_port), daemon=True).start()
    primary.start()
    primary.wait_until(lambda: _serves(PRIMARY, bind.port), 60, "ready")
    secondary.start()
    secondary.wait_until(lambda: _serves(SECONDARY, bind.port), 60, "ready")

    def stop() -> None:
        secondary.stop()
        primary.stop()

    about = {"port": str(bind.port), "secondary_port": str(bind.secondary_port)}
    return {**about, "secret": bind.secret.decode()}, stop


def _hand_on(door: socket.socket, port: int) -> None:
    """Question by question, until the process ends."""
    while True:
        question, asker = door.recvfrom(65535)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line, contextlib.suppress(OSError):
            line.settimeout(5)
            line.connect((PRIMARY, port))  # so that a server that is not there yet is an error at once
            line.send(question)
            door.sendto(line.recv(65535), asker)


def _named(folder: Path, port: int, zones: str) -> Child:
    folder.mkdir(parents=True)
    for zone in _ZONES:
        (folder / zone).write_text(_ZONE, encoding="ascii")
    config = folder / "named.conf"
    config.touch(mode=0o600)
    config.write_text(_OPTIONS.format(folder=folder, port=port, address=PRIMARY) + zones, encoding="ascii")
    return Child(f"named-{folder.name}", [find("named"), "-g", "-n", "1", "-c", config], folder / "named.log")


def _primary_zones(bind: Bind) -> str:
    key = f'key "{KEY_NAME}" {{ algorithm hmac-sha256; secret "{bind.secret.decode()}"; }};'
    told = f"notify explicit; also-notify {{ {PRIMARY} port {bind.secondary_port}; }}; notify-delay 0;"
    zones = [
        f'zone "{zone}" {{ type primary; file "{zone}"; allow-update {{ key "{KEY_NAME}"; }};'
        f" {told if zone != STALE else ''} }};"
        for zone in _ZONES
    ]
    return "\n".join((key, *zones))


def _secondary_zones(port: int) -> str:
    return "\n".join(
        f'zone "{zone}" {{ type secondary; file "{zone}.copy"; primaries port {port} {{ {PRIMARY}; }}; }};'
        for zone in _ZONES
    )


def _serves(address: str, port: int) -> bool:
    """Every zone, with authority."""
    questions = [dns.message.make_query(zone, dns.rdatatype.SOA) for zone in _ZONES]
    try:
        answers = [dns.query.udp(one, address, timeout=0.5, port=port) for one in questions]
    except (dns.exception.DNSException, OSError):
        return False
    return all(one.answer and one.flags & dns.flags.AA for one in answers)


def unique(zone: str) -> str:
    """A name of the test's own."""
    return f"{secrets.token_hex(6)}.{zone}"

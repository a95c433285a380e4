"""The embedded stack's ports, all on loopback: a base each, moved together by `--port-offset`."""

import dataclasses
import socket
from dataclasses import dataclass

from schemas.errors import DependencyUnavailable

MAX_OFFSET = 40_000


@dataclass(frozen=True)
class Ports:
    temporal: int = 7233
    web_ui: int = 8233
    codec_server: int = 8234
    api: int = 8235
    acme: int = 14000
    acme_management: int = 15000
    acme_names: int = 8053
    acme_names_management: int = 8055
    http_01: int = 5002
    web_1: int = 9443
    web_2: int = 9444
    web_3: int = 9445
    shop: int = 9446
    certificates_health: int = 9101
    certificates_metrics: int = 9102
    audit_health: int = 9103

    def moved(self, offset: int) -> "Ports":
        if not 0 <= offset <= MAX_OFFSET:
            raise DependencyUnavailable(f"--port-offset is between 0 and {MAX_OFFSET}, not {offset}.")
        return Ports(**{name: port + offset for name, port in dataclasses.asdict(self).items()})

    def taken(self) -> dict[str, int]:
        """Which of them somebody else listens on."""
        return {name: port for name, port in dataclasses.asdict(self).items() if not _free(port)}

    def refuse_if_taken(self) -> None:
        taken = ", ".join(f"{port} ({name.replace('_', ' ')})" for name, port in self.taken().items())
        if taken:
            raise DependencyUnavailable(
                f"These ports are taken: {taken}. Stop what listens there, or move all with --port-offset 100."
            )


def free_offset() -> int:
    """The first offset at which every port is free."""
    for offset in range(0, MAX_OFFSET, 100):
        if not Ports().moved(offset).taken():
            return offset
    raise DependencyUnavailable("No port offset leaves all ports of the embedded stack free.")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do it: a connection that has just ended must not make a port look taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True

"""What the world shows, read without any code of ours that could be wrong: the servers, and the CA's own log."""

import hashlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_PATIENCE_S = 30.0
"""A server that refuses says so at once; on a busy machine a good one may take its time."""


def served(port: int, name: str, roots: Path) -> str:
    """The SHA-256 fingerprint that a web server shows, after chain and name have verified."""
    context = ssl.create_default_context(cafile=str(roots))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname=name) as channel,
    ):
        return hashlib.sha256(channel.getpeercert(binary_form=True) or b"").hexdigest()


@dataclass(frozen=True)
class CaCounts:
    """How often a CA took an order, began to issue, and issued."""

    orders: int
    finalizes: int
    certificates: int

    @classmethod
    def read(cls, log: Path) -> Self:
        """Pebble's, as its log says."""
        text = log.read_text(encoding="utf-8", errors="replace")
        return cls(
            orders=text.count("Added order"),
            finalizes=text.count("Processing finalization"),
            certificates=text.count("Issued certificate serial"),
        )

    @classmethod
    def kept(cls, orders: Path, name: str) -> Self:
        """The local CA's for this name, by the files that it keeps: it begins to issue and issues in one step."""
        ordered = [file for file in orders.glob("*.json") if name in file.read_text("utf-8")]
        issued = sum(file.with_suffix(".pem").exists() for file in ordered)
        return cls(len(ordered), issued, issued)

    def __sub__(self, before: "CaCounts") -> "CaCounts":
        return CaCounts(
            self.orders - before.orders,
            self.finalizes - before.finalizes,
            self.certificates - before.certificates,
        )


class Visiting:
    """Visits from a thread of its own until the block is left."""

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _visit(self) -> None:
        """Until `_ended` is set."""
        raise NotImplementedError


@dataclass
class Visitor(Visiting):
    """A client that connects to each port in turn, 50 times a second, and counts what fails."""

    ports: tuple[int, ...]
    name: str
    every_s: float = 0.02
    handshakes: int = 0
    failed: list[str] = field(default_factory=list)

    def _visit(self) -> None:
        # Whether it is the right certificate is not asked here: only that no visitor is turned away.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        due = time.monotonic()
        while not self._ended.is_set():
            port = self.ports[self.handshakes % len(self.ports)]
            try:
                with (
                    socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
                    context.wrap_socket(plain, server_hostname=self.name),
                ):
                    pass
            except OSError as error:
                self.failed.append(f"port {port}: {error}")
            self.handshakes += 1
            due += self.every_s
            self._ended.wait(max(0.0, due - time.monotonic()))

"""A client that connects fifty times a second, each time anew, and counts what fails."""

import contextlib
import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.integration.targets.material import NAME

PER_S = 50


@dataclass
class Count:
    done: int = 0
    failed: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextlib.contextmanager
def connecting(port: int) -> Iterator[Count]:
    """Connects while the block runs; at its end every connection that was begun has been counted."""
    count, stop = Count(), threading.Event()
    pace = threading.Thread(target=_pace, args=(port, count, stop))
    pace.start()
    try:
        yield count
    finally:
        stop.set()
        pace.join()


def _pace(port: int, count: Count, stop: threading.Event) -> None:
    started, connections = time.monotonic(), []
    while not stop.is_set():
        connection = threading.Thread(target=_connect, args=(port, count))
        connection.start()
        connections.append(connection)
        stop.wait(max(0.0, started + len(connections) / PER_S - time.monotonic()))
    for connection in connections:
        connection.join()


def _connect(port: int, count: Count) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=NAME) as channel,
        ):
            shown = hashlib.sha256(channel.getpeercert(binary_form=True) or b"").hexdigest()
            channel.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answered = channel.recv(100).startswith(b"HTTP/1.1 200")
    except OSError as error:
        with count.lock:
            count.failed.append(f"{error!r}")
    else:
        with count.lock:
            count.done += 1
            count.seen.add(shown)
            if not answered:
                count.failed.append("it was not answered")

"""The embedded stack as the benchmarks use it: in a temporary folder, on free ports, with a client of its own."""

import contextlib
import http.client
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from temporalio.client import Client, WorkflowHandle

from benchmarks.figures import Say
from cli.demo.oracle import served
from cli.dev import layout
from cli.dev.ports import free_offset
from cli.dev.stack import Stack
from clients.settings import load
from schemas.catalogue import WORKFLOW_TYPES
from schemas.certificates import CertificateRenewalInput, CertificateRenewalResult
from schemas.errors import DependencyUnavailable
from workers.wiring import Wiring

CERTIFICATE, NAME = "www", "www.example.com"
"""Served by three nginx, with its key in SoftHSM."""


@contextmanager
def embedded_stack(say: Say) -> Iterator[Stack]:
    """Without schedules: nothing is renewed but by the benchmark."""
    with tempfile.TemporaryDirectory(prefix="redoubt-bench-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder), free_offset())
        stack.start(lambda words: say(f"  {words}"), schedules=False)
        try:
            yield stack
        finally:
            stack.stop(_silent)


def _silent(_words: str) -> None:
    """That each part stops is of no interest here."""


async def client_of(stack: Stack) -> Client:
    wiring = Wiring(load(stack.folder / layout.SETTINGS), "benchmark")
    return await wiring.client("certificates")


async def start_renewal(client: Client) -> "WorkflowHandle[object, CertificateRenewalResult]":
    given = CertificateRenewalInput(certificate=CERTIFICATE, force=True, reason="benchmark")
    kind = WORKFLOW_TYPES["CertificateRenewal"]
    return await client.start_workflow(
        kind.name,
        given,
        id=kind.workflow_id(given),
        task_queue=kind.capability,
        result_type=CertificateRenewalResult,
    )


def web_ports(stack: Stack) -> tuple[int, ...]:
    return tuple(stack.sites[name].port for name in layout.WEB)


def fingerprints(stack: Stack) -> set[str]:
    """What the three servers show, each verified."""
    return {served(port, NAME, stack.ca.trust_file) for port in web_ports(stack)}


def ready(health_port: int) -> bool:
    """Whether a worker's /readyz says 200."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", health_port, timeout=5)) as asked:
        try:
            asked.request("GET", "/readyz")
            return asked.getresponse().status == http.client.OK
        except OSError:
            return False


def wait_for(condition: Callable[[], bool], within_s: float, what: str, *, every_s: float = 0.01) -> None:
    """Raises `DependencyUnavailable` when it is not so in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise DependencyUnavailable(f"Within {within_s:.0f} s there was no sign of {what}.")
        time.sleep(every_s)

"""`redoubt dev`: the embedded stack, until Ctrl-C."""

import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cli.dev import layout
from cli.output import say
from clients.tools import locate, named
from clients.tools.installer import needed_for
from clients.tools.table import Purpose
from schemas.errors import DependencyUnavailable


def command(
    folder: Annotated[
        Path, typer.Option("--dir", metavar="D", help="Folder of its state; started again there, it goes on.")
    ] = Path(".redoubt-dev"),
    port_offset: Annotated[
        int, typer.Option(metavar="N", help="Added to every port, where the usual ones are taken.")
    ] = 0,
) -> None:
    """Keep the embedded stack running to play with: Temporal, an HSM, a CA, web servers, our workers.

    Everything listens on loopback only. A part that ends is started again; Ctrl-C stops all of them. Killed
    and started again on the same folder, runs that were under way go on.
    """
    from cli.dev.stack import Stack  # noqa: PLC0415 - loads what only a stack needs

    _refuse_without_tools()
    _interrupted_by(signal.SIGTERM)
    stack = Stack(folder, port_offset)
    stack.start(say)
    ended = _end_asked_for()
    try:
        _tell(stack.links(), stack.folder)
        while not ended.wait(1.0):
            stack.supervise(say)
    finally:
        stack.stop(say)


def _refuse_without_tools() -> None:
    """All that is missing at once, before anything is started."""
    missing = [name for name in needed_for(Purpose.DEV) if locate(named(name)) is None]
    if missing:
        raise DependencyUnavailable(
            f"Not on this machine: {', '.join(missing)}. Get them with `redoubt tools install --for dev`."
        )


def _interrupted_by(number: signal.Signals) -> None:
    """Let it do what Ctrl-C does while the stack is still starting."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(number, interrupt)


def _end_asked_for() -> threading.Event:
    """Set by Ctrl-C or SIGTERM, from now on: the stack then stops in order, whatever it is doing."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    return ended


def _tell(links: dict[str, str], folder: Path) -> None:
    width = max(map(len, links))
    for what, link in links.items():
        typer.echo(f"{what:<{width}}  {link}")
    sys.stdout.flush()
    say(
        f"In another terminal: . {folder / layout.ENVIRONMENT}\n"
        "Then try: redoubt schema CertificateRenewal --example | redoubt start CertificateRenewal --input - --wait\n"
        "Ctrl-C stops everything."
    )

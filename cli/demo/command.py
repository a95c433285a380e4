"""`redoubt demo`: get what it needs, play every chapter on a stack of its own, show what was proved."""

import importlib.util
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cli.demo import certificates
from cli.demo.proofs import Proofs, show
from cli.dev.ports import free_offset
from cli.dev.stack import Stack
from cli.output import Format, Output, say
from cli.progress import steps
from cli.tools import Reported
from clients.tools import installer

CHAPTERS = ("certificates",)


def command(
    chapter: Annotated[
        str, typer.Argument(metavar="[CHAPTER]", help=f"One of: {', '.join(CHAPTERS)}; all without.")
    ] = "",
    output: Output = Format.TEXT,
) -> None:
    """Run every chapter end to end on the embedded defaults.

    Exits with 0 only if each claim was proved, with 1 if one failed, with 3 if one was skipped because something
    can't be had on this machine.
    """
    if chapter and chapter not in CHAPTERS:
        raise typer.BadParameter(f"there is no chapter {chapter!r}; there are: {', '.join(CHAPTERS)}")
    proofs = Proofs()

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # Raised between two lines of a fork's hooks it would be lost: the next claim looks at the mark.
        proofs.interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    playable, with_hsm = have(proofs)
    again = _play(proofs, with_hsm=with_hsm) if playable else ""
    show(proofs.rows, output)
    if again:
        say(again)
    raise typer.Exit(proofs.exit_code)


def have(proofs: Proofs) -> tuple[bool, bool]:
    """Get the tools; whether the chapter can be played, and whether with an HSM. What can't be had is SKIPPED."""
    with steps() as told:
        outcomes = installer.install((*certificates.TOOLS, *certificates.HSM_TOOLS), Reported(told))
    missing = [outcome for outcome in outcomes if outcome.status == "missing"]
    for outcome in missing:
        claim = "Its key in an HSM" if outcome.tool in certificates.HSM_TOOLS else "certificates"
        proofs.skip(claim, f"{outcome.tool} can't be had: {outcome.without}")
    names = {outcome.tool for outcome in missing}
    return names.isdisjoint(certificates.TOOLS), names.isdisjoint(certificates.HSM_TOOLS)


def _play(proofs: Proofs, *, with_hsm: bool) -> str:
    """Play every chapter; returns how to look at it again. Interrupted, it leaves nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="redoubt-demo-"))
    browser, offset = _Browser(), free_offset()
    browser.start()
    stack = Stack(folder, offset, sweep_every_s=10, with_hsm=with_hsm)
    try:
        certificates.chapter(proofs, stack, browser.missing)
    except KeyboardInterrupt:
        say("Interrupted: everything is being stopped.")
        stack.stop(_silent)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        stack.stop(_silent)
    return (
        f"Everything is in {folder}. The links work again with:\n"
        f"  redoubt dev --dir {folder} --port-offset {offset}"
    )


def _silent(_words: str) -> None:
    """The table comes next: how each part stops is of no interest."""


class _Browser(threading.Thread):
    """Gets the browser while the first claims are being proved."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._why = ""

    def run(self) -> None:
        if importlib.util.find_spec("playwright") is None:
            self._why = "the package playwright is not installed: it comes with the extra `browser`"
            return
        with steps() as told:
            (outcome,) = installer.install([certificates.BROWSER], Reported(told))
        if outcome.status == "missing":
            self._why = f"chromium can't be had: {outcome.without}"

    def missing(self) -> str:
        self.join()
        return self._why

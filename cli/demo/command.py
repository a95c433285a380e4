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
from clients.tools.table import Purpose

CHAPTERS = ("certificates",)


def command(
    chapter: Annotated[
        str, typer.Argument(metavar="CHAPTER", help=f"One of: {', '.join(CHAPTERS)}; all without.")
    ] = "",
    output: Output = Format.TEXT,
) -> None:
    """Run every chapter end to end on the embedded defaults.

    Exits with 0 only if each claim was proved, with 1 if one failed, with 3 if one was skipped because something
    can't be had on this machine.
    """
    if chapter and chapter not in CHAPTERS:
        raise typer.BadParameter(f"there is no chapter {chapter!r}; there are: {', '.join(CHAPTERS)}")
    tools = Tools()
    proofs = Proofs(tools.lacking)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        # Raised between two lines of a fork's hooks it would be lost: the next claim looks at the mark.
        proofs.interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    tools.get(*certificates.TOOLS)
    why = tools.lacking(certificates.NEEDED)
    if why:
        proofs.skip("certificates", f"{certificates.NEEDED} can't be had: {why}")
    again = "" if why else play(proofs, tools)
    show(proofs.rows, output)
    if again:
        say(again)
    raise typer.Exit(proofs.exit_code)


def play(proofs: Proofs, tools: "Tools") -> str:
    """Play every chapter; returns how to look at it again. Interrupted, it leaves nothing behind."""
    folder = Path(tempfile.mkdtemp(prefix="redoubt-demo-"))
    offset = free_offset()
    stack = Stack(folder, offset, sweep_every_s=10, without=tools.missing)
    tools.get_browser()
    try:
        certificates.chapter(proofs, stack)
    except KeyboardInterrupt:
        say("Interrupted: everything is being stopped.")
        stack.stop(_silent)
        shutil.rmtree(folder, ignore_errors=True)
        raise
    finally:
        stack.stop(_silent)
    absent = ", ".join(tool for tool in installer.needed_for(Purpose.DEV) if tool in tools.missing)
    return (
        f"Everything is in {folder}. The links work again{f', once {absent} is here,' if absent else ''} with:\n"
        f"  redoubt dev --dir {folder} --port-offset {offset}"
    )


def _silent(_words: str) -> None:
    """The table comes next: how each part stops is of no interest."""


class Tools:
    """Gets what the claims need: most before the first one, the browser meanwhile, Vault when it is wanted."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        """What won't work without each tool that can't be had."""
        self._tried: set[str] = set()
        self._browser = threading.Thread(target=self._get_browser, daemon=True)

    def get(self, *names: str) -> None:
        with steps() as told:
            for outcome in installer.install(names, Reported(told)):
                self._tried.add(outcome.tool)
                if outcome.status == "missing":
                    self.missing[outcome.tool] = outcome.without

    def get_browser(self) -> None:
        self._browser.start()

    def lacking(self, tool: str) -> str:
        """What won't work without this tool, where it can't be had; else nothing."""
        if tool == certificates.BROWSER and self._browser.ident is not None:
            self._browser.join()
        if tool not in self._tried:
            say(f"getting {tool}, where it is not here yet")
            self.get(tool)
        return self.missing.get(tool, "")

    def _get_browser(self) -> None:
        if importlib.util.find_spec("playwright") is None:
            self._tried.add(certificates.BROWSER)
            why = "the package playwright is not installed: it comes with the extra `browser`"
            self.missing[certificates.BROWSER] = why
        else:
            self.get(certificates.BROWSER)

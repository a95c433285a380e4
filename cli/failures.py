"""Every error's way out of the command: one paragraph on stderr, an exit code, never a traceback.

An error of the catalogue says its code, what happened and what to do. Any other is `Internal`: it is logged
with its traceback under a correlation ID, and people see the ID (with --debug, the traceback too).
"""

import errno
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import typer
from typer.exceptions import TyperException

from cli.output import ExitCode, say
from rules.correlation import well_formed
from schemas.errors import CATALOGUE, Category, RedoubtError

_UNREACHABLE = {
    "DependencyUnavailable",
    "EvidenceUnavailable",
    "KeyStoreUnavailable",
    "CaUnavailable",
    "CaRateLimited",
}
_BY_CATEGORY = {Category.INPUT: ExitCode.USAGE, Category.CHECK: ExitCode.VERIFICATION}

correlation_id = str(uuid4())
"""Of this process, unless a command takes its caller's: `adopt`."""


def adopt(given: str) -> None:
    """Work, and tell errors, under the caller's correlation ID."""
    global correlation_id  # noqa: PLW0603  # one command line, one ID
    if not well_formed(given):
        raise typer.BadParameter(
            "8 to 64 letters, digits, . _ : -, beginning and ending with a letter or digit",
            param_hint="--correlation-id",
        )
    correlation_id = given


def exit_code(code: str) -> ExitCode:
    if code in _UNREACHABLE:
        return ExitCode.UNREACHABLE
    return _BY_CATEGORY.get(CATALOGUE[code].category, ExitCode.FAILED)


def explain(error: BaseException) -> ExitCode | int:
    """Say what happened; returns the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else ExitCode.FAILED
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return ExitCode.INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return _pipe_closed()
    if isinstance(error, TyperException):
        return _usage(error)
    if isinstance(error, RedoubtError):
        detail = error.in_full.rstrip()
        gap = "\n" if "\n" in detail else " "
        say(f"Error: {error.code}: {detail}{gap}{error.type.what_to_do} (correlation ID {correlation_id})")
        return exit_code(error.code)
    return _unknown(error)


def _usage(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        return ExitCode.USAGE  # the help is printed already
    if context is not None:
        say(f"{context.get_usage()}\nTry '{context.command_path} --help'.")
    # The library reads values with pydantic, and shows its prefix.
    say(f"Error: {error.format_message().replace('Value error, ', '')}")
    return error.exit_code


def _pipe_closed() -> ExitCode:
    """Whoever read has had enough (`| head`); Python would complain once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.FAILED


def _unknown(error: BaseException) -> ExitCode:
    internal = CATALOGUE["Internal"]
    text = "".join(traceback.format_exception(error))
    if os.environ.get("REDOUBT_DEBUG"):
        sys.stderr.write(text)
    kept = _log(text)
    where = (
        f"{kept} holds what happened under this ID"
        if kept
        else "run it again with --debug to see what happened"
    )
    say(
        f"Error: {internal.code}: {internal.meaning} It stopped here; {where} (correlation ID {correlation_id})."
    )
    return ExitCode.FAILED


def _log(text: str) -> Path | None:
    folder = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "redoubt"
    file = folder / "errors.log"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat()} {correlation_id}\n{text}\n")
    except OSError as refused:
        if refused.errno not in {errno.EACCES, errno.EROFS, errno.ENOSPC, errno.ENOENT, errno.EPERM}:
            say(f"The log of errors could not be written: {refused.strerror}.")
        return None
    return file

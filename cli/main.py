"""The `redoubt` command: one table of sub-commands, each loaded when it is called.

Rules: `redoubt --help` imports nothing of ours but this module, so that it is as quick as a bare Typer program.
Every error leaves by `cli.failures`, as one paragraph on stderr and an exit code of `cli.output.ExitCode`.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "demo": ("cli.demo.command:command", "Run every chapter end to end on the embedded defaults."),
    "dev": ("cli.dev.command:command", "Keep the embedded stack running to play with."),
    "init": ("cli.init:command", "Make every secret of an installation, and a settings file."),
    "doctor": ("cli.doctor:command", "Say what is wrong and how to mend it."),
    "start": ("cli.runs:start", "Start a workflow; prints its IDs and its page in the Web UI."),
    "list": ("cli.runs:list_runs", "List runs, newest first."),
    "status": ("cli.runs:status", "Show one run: phase, progress, what it waits for, or how it ended."),
    "watch": ("cli.runs:watch", "Follow one run until it ends."),
    "pause": ("cli.runs:pause", "Hold a run before its next step."),
    "resume": ("cli.runs:resume", "Let a paused run go on."),
    "abort": ("cli.runs:abort", "Stop a run; what it has switched is put back."),
    "end-grace": ("cli.runs:end_grace", "End a renewal's grace early; what it replaced stays."),
    "approve": ("cli.approvals:approve", "Approve what a run is going to do, after you have read it."),
    "reject": ("cli.approvals:reject", "Reject what a run is going to do: it ends, and nothing was begun."),
    "approvals": ("cli.approvals:app", "What waits for approval, and the keys that approve."),
    "schema": ("cli.schema:command", "Print a workflow type's input as JSON Schema, with an example."),
    "certs": ("cli.certs:app", "Certificates: what each target holds, and what is due."),
    "schedules": ("cli.schedules:app", "Make the cluster's schedules match the settings."),
    "history": ("cli.history:app", "Export histories, and replay them against this code."),
    "audit": ("cli.audit:app", "Verify the evidence log."),
    "policy": ("cli.policy:app", "Who may do what: check, test, sign and apply the policy file."),
    "store": ("cli.store:app", "Bring the records' schema up to date."),
    "codec": ("cli.codec:app", "The keys that payloads are encrypted with."),
    "api": ("cli.api:app", "Serve the HTTP API, and make keys for it."),
    "codec-server": ("cli.codec_server:app", "Encode and decode payloads for the Web UI."),
    "workers": ("cli.workers:app", "Run worker pools."),
    "config": ("cli.config:app", "Explain, check and show the settings."),
    "tools": ("cli.tools:app", "Get the outside programs that Redoubt drives."),
    "docs": ("cli.docs:app", "Print the documents that are generated from the code."),
}
"""Name to where its function or Typer app is, and its line in the help."""

EPILOG: Final = (
    "Exit codes: 0 done, 1 it failed, 2 usage or bad input, 3 something was skipped or could not be had, "
    "4 a check failed, 5 something is not reachable, 130 interrupted."
    "\n\nData goes to stdout, messages to stderr."
)


class LazyGroup(TyperGroup):
    """Knows each command's help line from the table, and imports a command when it is to be run."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, (_, line) in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=line)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, found, rest = super().resolve_command(ctx, args)
        return name, (load(name) if name and found else found), rest


def load(name: str) -> Any:
    """The runnable command behind a name of the table."""
    place, line = COMMANDS[name]
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    loaded: Any = get_group(found) if isinstance(found, typer.Typer) else get_command(_alone(name, found))
    loaded.name, loaded.help, loaded.short_help = name, loaded.help or line, line
    for command in (loaded, *getattr(loaded, "commands", {}).values()):
        command.help = _unwrapped(command.help or "")
    return loaded


def _unwrapped(text: str) -> str:
    """A docstring's line breaks are for its own columns: the help's lines are the terminal's."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _alone(name: str, function: Callable[..., Any]) -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command(name)(function)
    return app


app = typer.Typer(cls=LazyGroup, epilog=EPILOG, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # only who asks pays for it

        try:
            typer.echo(f"redoubt {version('redoubt')}")
        except PackageNotFoundError:
            typer.echo("redoubt, from a checkout")
        raise typer.Exit


@app.callback()
def redoubt(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="FILE", help="Settings file, before REDOUBT_CONFIG and ./redoubt.yaml."
        ),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of unknown errors.")] = False,
    _show: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The security operations that must never be left half-done, as durable workflows."""
    if config is not None:
        os.environ["REDOUBT_CONFIG"] = str(config.absolute())  # for the processes that a command starts, too
    if debug:
        os.environ["REDOUBT_DEBUG"] = "1"


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code and raises nothing."""
    try:
        code = get_command(app).main(args=arguments, prog_name="redoubt", standalone_mode=False)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  # the one place that every error passes
        from cli.failures import explain  # noqa: PLC0415  # only a failure pays for it

        code = explain(error)
    return code if isinstance(code, int) else 0


def main() -> None:
    """Run and leave."""
    leave(run())


def leave(code: int) -> NoReturn:
    """End the process in order.

    Threads of Temporal's client call into Python while it ends, which now and then aborts a process that has done
    its work. So what was begun is ended, what was printed is flushed, and it leaves without waiting for them.
    """
    if (endings := sys.modules.get("workers.endings")) is not None:
        with contextlib.suppress(KeyboardInterrupt):
            endings.end_all()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    if "temporalio.bridge.runtime" in sys.modules:
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    main()

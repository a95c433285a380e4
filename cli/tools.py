"""`redoubt tools`: what stands on this machine of the outside programs that Redoubt drives, and getting the rest."""

from typing import Annotated, Any

import typer

from cli.output import ExitCode, Format, Output, say, table
from cli.progress import Steps, steps
from clients.tools import named
from clients.tools.installer import Outcome, inspect, install, needed_for
from clients.tools.table import Purpose, Tool, tools
from schemas.errors import DependencyUnavailable

_COLUMNS = ("tool", "status", "version", "how", "where")
_USUAL = (Purpose.DEMO, Purpose.TEST, Purpose.DEV)

app = typer.Typer(no_args_is_help=True, help="Get the outside programs that Redoubt drives.")


class Reported:
    """Progress of an installation, told by `Steps`."""

    def __init__(self, told: Steps) -> None:
        self._told = told

    def doing(self, tool: str, what: str) -> None:
        self._told.doing(tool, what)

    def done(self, outcome: Outcome) -> None:
        self._told.ended(outcome.tool, in_words(outcome))


def in_words(outcome: Outcome) -> str:
    """What became of a tool that was not there; empty if it was."""
    if outcome.status == "installed":
        return f"{outcome.tool} {outcome.version}: {outcome.how}, {outcome.seconds:.0f} s".replace("  ", " ")
    if outcome.status == "missing":
        reasons = "".join(f"\n  {why}" for why in outcome.tried)
        return f"{outcome.tool} can't be had; without it {outcome.without}.{reasons}"
    return ""


@app.command("install")
def install_tools(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="TOOL", help="Tools; all that is needed if none is named.")
    ] = None,
    purposes: Annotated[
        list[Purpose] | None,
        typer.Option("--for", help="What they are needed for; may be given more than once."),
    ] = None,
    output: Output = Format.TEXT,
) -> None:
    """Get what is missing, in the order in which the demo needs it; exit code 3 if something can't be had."""
    wanted = list(names or ())
    for name in wanted:
        _must_be_known(name)
    if purposes or not wanted:
        wanted.extend(needed_for(*(purposes or _USUAL)))
    with steps() as told:
        outcomes = install(wanted, Reported(told))
    _print([outcome.model_dump(mode="json") for outcome in outcomes], output)
    if any(outcome.status == "missing" for outcome in outcomes):
        raise typer.Exit(ExitCode.SKIPPED)


@app.command("list")
def list_tools(output: Output = Format.TEXT) -> None:
    """Show every tool of the table, in the order in which the demo needs them, without getting any."""
    _print([_row(tool) for tool in tools()], output)


def _must_be_known(name: str) -> None:
    try:
        named(name)
    except DependencyUnavailable as error:
        raise typer.BadParameter(error.in_full) from error


def _row(tool: Tool) -> dict[str, Any]:
    """How it stands, and what the table says about it."""
    stands = inspect(tool).model_dump(mode="json", include={"tool", "status", "version", "how", "where"})
    ways = [recipe.way for recipe in tool.ways]
    wanted = {"wanted": tool.version, "minimum": tool.minimum, "ways": ways}
    return {**stands, **wanted, "needed_by": tool.needed_by, "chapter": tool.chapter, "without": tool.without}


def _print(rows: list[dict[str, Any]], form: Format) -> None:
    table(rows, _COLUMNS, form)
    for row in rows:
        if form is Format.TEXT and row["status"] == "missing" and "ways" in row:
            say(f"Without {row['tool']} {row['without']}. Ways to get it: {', '.join(row['ways'])}.")

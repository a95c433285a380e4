"""`redoubt config`: the settings file explained, judged and shown. Secrets appear as references only."""

from typing import Final

import typer

from cli.output import ExitCode, Format, Output, cell, document, put, say, table
from clients.settings import locate, origins, problems
from clients.settings.example import complete
from clients.settings.shape import root

app = typer.Typer(no_args_is_help=True, help="Explain, check and show the settings.")

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@app.command()
def example() -> None:
    """Print a settings file with every setting, explained; it loads as it stands."""
    put(complete().rstrip())


@app.command()
def schema() -> None:
    """Print the JSON Schema of the settings file, for editors and CI."""
    document({"$schema": DIALECT, **root()})


@app.command()
def check(output: Output = Format.TEXT) -> None:
    """Name everything that is wrong with the settings, each by its line; exit code 2 if something is."""
    found = problems()
    rows = [{"where": one.where, "name": one.name, "problem": one.text} for one in found]
    if output is not Format.TEXT:
        table(rows, (), output)
    elif found:
        put("\n".join(map(str, found)))
    if found:
        say(f"{len(found)} problem{'s' * (len(found) > 1)} in {locate()}.")
        raise typer.Exit(ExitCode.USAGE)
    say(f"{locate()} can be used.")


@app.command()
def show(output: Output = Format.TEXT) -> None:
    """Print every value that holds, and where it comes from: default, file and line, or environment."""
    rows = [{"name": each.name, "value": each.value, "origin": each.origin} for each in origins()]
    if output is Format.TEXT:
        rows = [{**row, "value": cell(row["value"])} for row in rows]
    table(rows, ("name", "value", "origin"), output)

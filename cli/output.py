"""What commands print: data on stdout, messages on stderr, as the `temporal` command does.

Text is for people (tables; colour only on a terminal and without NO_COLOR), `json` is one document, `jsonl`
one object a line. What comes from outside is stripped of control characters: it can't drive a terminal, nor turn
the words of a line round.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import Annotated, Any

import typer


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    """The operation was tried and failed, or was refused."""
    USAGE = 2
    """The command line, the settings or the input are wrong; nothing was tried."""
    SKIPPED = 3
    """Something was skipped or could not be had; the rest is done."""
    VERIFICATION = 4
    """A check failed: what was found is not what must be."""
    UNREACHABLE = 5
    """Something that is needed does not answer; trying again can help."""
    INTERRUPTED = 130


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


Output = Annotated[Format, typer.Option("-o", "--output", help="How to print the data.")]

_TURNING = (0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
"""Separators of lines, and what makes text run the other way."""
_CONTROL = {
    code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0), *_TURNING) if chr(code) not in "\n\t"
}


def clean(text: object) -> str:
    return str(text).translate(_CONTROL)


def say(message: object) -> None:
    """A message for people, on stderr."""
    print(clean(message), file=sys.stderr)  # the one place that prints messages


def put(text: object) -> None:
    """Data, on stdout."""
    print(clean(text))


def document(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def lines(rows: Iterable[Any]) -> None:
    """One JSON object a line on stdout, as they come."""
    for row in rows:
        print(json.dumps(row, ensure_ascii=False, default=str), flush=True)


def table(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], form: Format, *, empty: str = ""
) -> None:
    """Rows as a table of these columns for people, or whole for programs."""
    rows = list(rows)
    if form is Format.JSON:
        document(rows)
    elif form is Format.JSONL:
        lines(rows)
    elif rows:
        _draw(rows, columns)
    elif empty:
        say(empty)


def record(row: Mapping[str, Any], form: Format) -> None:
    """One object: a line a field for people, or whole for programs."""
    if form is Format.JSON:
        document(row)
    elif form is Format.JSONL:
        lines([row])
    else:
        _fields(row, "")


def _fields(row: Mapping[str, Any], indent: str) -> None:
    """A line a field; an object in a field follows it, indented."""
    width = max(map(len, row), default=0)
    for name, value in row.items():
        words = name.replace("_", " ")
        if isinstance(value, Mapping):
            put(f"{indent}{words}")
            _fields(value, indent + "  ")
        else:
            put(f"{indent}{words:<{width}}  {cell(value)}")


def cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return clean(value)


def _draw(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    from rich.console import Console  # noqa: PLC0415  # programs that read JSON don't wait for it
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    people = sys.stdout.isatty()
    drawn = Table(box=None, pad_edge=False, header_style="bold" if people else "")
    for column in columns:
        drawn.add_column(column.replace("_", " ").upper(), overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell(row.get(column))) for column in columns))
    # A pipe has no width: nothing is folded or cut there.
    Console(width=None if people else 10_000, highlight=False, markup=False).print(drawn)

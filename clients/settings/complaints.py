"""What validation found wrong, in words for the person who edits the file.

A message names the place and what may stand there, never what stood there: it could be a secret.
"""

from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from clients.settings.document import Document, Place, Problem
from clients.settings.shape import below, plain, root

_WORDS = {
    "missing": "is missing",
    "union_tag_invalid": "`kind` must be one of {expected_tags}",
    "union_tag_not_found": "needs `kind`",
    "string_pattern_mismatch": "does not have the form {pattern}",
    "value_error": "{error}",
    "tuple_type": "should be a list",
    "dict_type": "should be a mapping of settings",
    "model_type": "should be a mapping of settings",
}

_SAID_ELSEWHERE = {
    (
        "certificates",
        "approvers",
    ): "the signed policy names approvers: put them into its `approvals`, in a rule whose"
    " `scopes` have this certificate (docs/approvals.md), and take them out here",
}
"""Section and name of what guards nothing if it stands in the settings, which nobody signs."""


def complaints(refused: ValidationError, document: Document) -> tuple[Problem, ...]:
    found = []
    errors = refused.errors(include_input=False, include_url=False)
    for error in errors:
        if error["type"] == "too_short" and any(_inside(other["loc"], error["loc"]) for other in errors):
            continue  # it is short of the items that are wrong themselves
        if not error["loc"] and error["type"] == "value_error":
            found += [_whole(line, document) for line in str(error["ctx"]["error"]).splitlines()]
        else:
            found.append(_single(dict(error), document))
    return tuple(sorted(found, key=lambda problem: (problem.where.rpartition(":")[0], _line(problem.where))))


def _inside(inner: tuple[str | int, ...], outer: tuple[str | int, ...]) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _single(error: dict[str, Any], document: Document) -> Problem:
    at = _place(error["loc"], document.data)
    return Problem(document.nearest(at), ".".join(map(str, at)), _text(error, at, document))


def _whole(line: str, document: Document) -> Problem:
    """A complaint of the settings as a whole begins with the dotted name of what it is about."""
    name, _, rest = line.partition(" ")
    at = tuple(name.split("."))
    return Problem(document.nearest(at), name, rest)


def _place(location: tuple[str | int, ...], data: object) -> Place:
    """Pydantic's location without the names of union branches, which stand in no file."""
    at: list[str | int] = []
    shape = root()
    for part in location:
        if part == "[key]":
            continue
        if "discriminator" in _behind(shape) and not (isinstance(data, dict) and part in data):
            shape = plain(shape, data)
            continue
        at.append(part)
        shape = below(shape, part, data)
        data = _item(data, part)
    return tuple(at)


def _behind(shape: dict[str, Any]) -> dict[str, Any]:
    return shape if "$ref" not in shape else plain(shape)


def _item(data: object, part: str | int) -> object:
    if isinstance(data, dict):
        return data.get(part)
    return data[part] if isinstance(data, list) and isinstance(part, int) and part < len(data) else None


def _text(error: dict[str, Any], at: Place, document: Document) -> str:
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(at, document)
    if kind in _WORDS:
        return _WORDS[kind].format(**context)
    return str(error["msg"]).replace("Input should", "should").replace("Input must", "must")


def _unknown(at: Place, document: Document) -> str:
    said = _SAID_ELSEWHERE.get((str(at[0]), str(at[-1])))
    if said is not None:
        return f"is no setting; {said}"
    shape, data = root(), document.data
    for part in at[:-1]:
        shape, data = below(shape, part, data), _item(data, part)  # type: ignore[assignment]  # it follows the shape
    allowed = list(plain(shape, data).get("properties", {}))
    close = get_close_matches(str(at[-1]), allowed, n=1, cutoff=0.5)
    return (
        f"is no setting; did you mean {close[0]!r}?"
        if close
        else f"is no setting; allowed are {', '.join(allowed)}"
    )


def _line(where: str) -> int:
    number = where.rpartition(":")[2]
    return int(number) if number.isdigit() else 0

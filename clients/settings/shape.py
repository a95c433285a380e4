"""The shape of the settings, walked beside their values: JSON Schema answers what may stand where.

`resolve` makes relative what is relative to the file's folder absolute: paths, `file:` references and the
SQLite file. `shape_at` follows a place down to its schema, through the union's branch that the value's `kind` chooses.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from schemas.settings import Settings

Shape = dict[str, Any]


@cache
def root() -> Shape:
    return Settings.model_json_schema()


def plain(shape: Shape, value: object = None) -> Shape:
    """Behind references, `… | None` and unions told apart by `kind`."""
    if "$ref" in shape:
        return plain(root()["$defs"][shape["$ref"].rpartition("/")[2]], value)
    if "discriminator" in shape:
        kind = value.get("kind") if isinstance(value, dict) else None
        chosen = shape["discriminator"]["mapping"].get(kind or (isinstance(value, dict) and _unsaid(shape)))
        return plain({"$ref": chosen}, value) if chosen else shape
    if "anyOf" in shape:
        return plain(next((one for one in shape["anyOf"] if one.get("type") != "null"), {}), value)
    return shape


def _unsaid(shape: Shape) -> str | None:
    """The kind that holds where none is given: the one branch whose `kind` has a default."""
    branches = (plain(one)["properties"]["kind"] for one in shape["oneOf"])
    return next((kind["default"] for kind in branches if "default" in kind), None)


def below(shape: Shape, key: str | int, value: object) -> Shape:
    """What may stand under `key`; empty if nothing may."""
    shape = plain(shape, value)
    found = shape.get("items") if isinstance(key, int) else shape.get("properties", {}).get(key)
    return found or named(shape) or {}


def named(shape: Shape) -> Shape | None:
    """What stands under each of the names that we give ourselves, where this is a mapping of such."""
    for_pattern = next(iter(shape.get("patternProperties", {}).values()), None)
    free = shape.get("additionalProperties")
    return for_pattern or (free if isinstance(free, dict) else None)


def resolve(shape: Shape, value: Any, folder: Path) -> Any:
    shape = plain(shape, value)
    if isinstance(value, dict):
        return {key: resolve(below(shape, key, value), item, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [resolve(below(shape, index, value), item, folder) for index, item in enumerate(value)]
    if isinstance(value, str):
        return _absolute(shape.get("format"), value, folder)
    return value


def _absolute(form: str | None, value: str, folder: Path) -> str:
    if form == "path":
        return str(folder / value)
    if form == "secret-reference" and value.startswith("file:"):
        return f"file:{folder / value.removeprefix('file:')}"
    if value.startswith("sqlite:///") and value != "sqlite:///:memory:":
        return f"sqlite:///{folder / value.removeprefix('sqlite:///')}"
    return value


def references(settings: Settings) -> Iterator[tuple[str, str]]:
    """Every reference to a secret that stands in the settings, with the setting's name."""
    yield from _references(root(), settings.model_dump(mode="json"), ())


def _references(shape: Shape, value: Any, at: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    shape = plain(shape, value)
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _references(below(shape, key, value), item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(below(shape, index, value), item, (*at, str(index)))
    elif isinstance(value, str) and shape.get("format") == "secret-reference":
        yield ".".join(at), value

"""The settings file: found, read, overridden from the environment, judged, and explained.

- Found: the path that was given, then `REDOUBT_CONFIG`, then ./redoubt.yaml, then /etc/redoubt/redoubt.yaml.
- Overridden: `REDOUBT__TEMPORAL__ADDRESS=…` stands for `temporal.address`; the environment wins.
- Judged as a whole: `InvalidSettings` lists every problem, each with its file and line, and never a value.
- Relative paths, `file:` references and the SQLite file are resolved against the file's folder.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from clients.settings.complaints import complaints
from clients.settings.document import Document, Place, Problem
from clients.settings.environment import overrides
from clients.settings.reading import read
from clients.settings.shape import resolve, root
from schemas.errors import InvalidSettings
from schemas.settings import Settings

_PLACES = (Path("redoubt.yaml"), Path("/etc/redoubt/redoubt.yaml"))


@dataclass(frozen=True)
class Origin:
    """One value of the settings and where it comes from: `default`, `FILE:LINE` or `environment NAME`."""

    name: str
    value: object
    origin: str


@dataclass(frozen=True)
class _Judged:
    document: Document
    settings: Settings | None
    problems: tuple[Problem, ...]


def locate(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """The settings file that holds here; raises `InvalidSettings` if there is none."""
    if path is None and environ.get("REDOUBT_CONFIG"):
        path = Path(environ["REDOUBT_CONFIG"])
    for candidate in (path,) if path else _PLACES:
        if candidate.is_file():
            return candidate.absolute()
    looked = path or ", ".join(map(str, _PLACES))
    raise InvalidSettings(
        f"There is no settings file: looked for {looked}. `redoubt init` makes one; of a stack of `redoubt dev` it is "
        "found after `. .redoubt-dev/env`, in each shell."
    )


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    judged = _judge(path, environ)
    if judged.settings is None:
        lines = "\n".join(f"  {problem}" for problem in judged.problems)
        raise InvalidSettings(f"{judged.document.file} can't be used as it is:\n{lines}\n")
    return judged.settings


def problems(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> tuple[Problem, ...]:
    """All that is wrong with the file at once; empty if it can be used."""
    return _judge(path, environ).problems


def origins(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> tuple[Origin, ...]:
    """Every value that holds, in the schema's order, with where it comes from."""
    settings, document = load(path, environ), _judge(path, environ).document
    values = settings.model_dump(mode="json")
    return tuple(Origin(_dotted(at), value, document.origin(at)) for at, value in _leaves(values))


def _judge(path: Path | None, environ: Mapping[str, str]) -> _Judged:
    file = locate(path, environ)
    document, unread = read(file)
    if unread:
        return _Judged(document, None, unread)
    document = overrides(document, environ)
    try:
        given = Settings.model_validate(document.data)
        resolved = resolve(root(), given.model_dump(mode="json"), file.parent)
        return _Judged(document, Settings.model_validate(resolved), ())
    except ValidationError as refused:
        return _Judged(document, None, complaints(refused, document))


def _leaves(value: object, at: Place = ()) -> Iterator[tuple[Place, object]]:
    if isinstance(value, dict) and value:
        for key, below in value.items():
            yield from _leaves(below, (*at, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*at, index))
    else:
        yield at, value


def _dotted(at: Place) -> str:
    return ".".join(str(part) for part in at)

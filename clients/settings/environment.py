"""Settings from the environment: `REDOUBT__TEMPORAL__ADDRESS` stands for `temporal.address`.

Two underscores go one level down. A name that we give may hold hyphens, which a variable's name can't: one
underscore stands for it. A number is a place in a list. A value in brackets or braces is read as YAML, and
`null` is no value; anything else is taken as it stands.
"""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from clients.settings.document import Document, Place
from clients.settings.shape import below, named, plain, root

PREFIX = "REDOUBT__"


def overrides(document: Document, environ: Mapping[str, str]) -> Document:
    data, places = copy.deepcopy(document.data), dict(document.places)
    for name in sorted(name for name in environ if name.startswith(PREFIX) and len(name) > len(PREFIX)):
        at = _put(data, name.removeprefix(PREFIX).lower().split("__"), _read(environ[name]))
        places = {place: where for place, where in places.items() if place[: len(at)] != at}
        places |= dict.fromkeys(_within(_at(data, at), at), f"environment {name}")
    return replace(document, data=data, places=places)


def _put(data: dict[str, Any], words: list[str], value: object) -> Place:
    """Set the value; returns its place. What does not fit is left to the validation to name."""
    shape, here, at = root(), data, []
    for last, word in ((index == len(words) - 1, word) for index, word in enumerate(words)):
        key = _key(shape, here, word)
        at.append(key)
        if last:
            _set(here, key, value)
            break
        shape = below(shape, key, here)
        here = _descend(here, key)
    return tuple(at)


def _at(data: Any, at: Place) -> object:
    for part in at:
        data = data[part]
    return data


def _within(value: object, at: Place) -> Iterator[Place]:
    yield at
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from _within(item, (*at, key))


def _key(shape: dict[str, Any], here: Any, word: str) -> str | int:
    if isinstance(here, list):
        return int(word) if word.isdigit() and int(word) <= len(here) else word
    if word in plain(shape, here).get("properties", {}) or word in here:
        return word
    given = next((key for key in here if str(key).replace("-", "_").lower() == word), None)
    return given or (word.replace("_", "-") if named(plain(shape, here)) else word)


def _descend(here: Any, key: str | int) -> Any:
    if isinstance(here, list):
        return here[key] if isinstance(key, int) and key < len(here) else {}
    if not isinstance(here.get(key), dict | list):
        here[key] = {}
    return here[key]


def _set(here: Any, key: str | int, value: object) -> None:
    if isinstance(here, dict) or (isinstance(key, int) and key < len(here)):
        here[key] = value
    else:
        here.append(value)


def _read(text: str) -> object:
    if text == "null":
        return None
    if (text[:1], text[-1:]) in {("[", "]"), ("{", "}")}:
        try:
            return yaml.safe_load(text)
        except yaml.YAMLError:
            return text
    return text

"""Settings as a commented file: each explained by the schema's own words, the first time that it occurs.

What is not given stands there with its default, so that nothing has to be looked up elsewhere.
"""

import textwrap
from collections.abc import Iterator
from typing import Any

import yaml

from clients.settings.samples import COMPLETE, INITIAL
from clients.settings.shape import Shape, below, plain, root

_HEAD = """\
# The settings of Redoubt. Every value can be overridden: REDOUBT__TEMPORAL__ADDRESS=… stands for temporal.address.
# A secret is given by reference, never as a value: file:PATH (mode 0600), env:NAME or vault:MOUNT/PATH#FIELD.
# Paths are absolute, or relative to this file's folder. Times are seconds unless a name says otherwise.
# `redoubt config check` names each mistake by its line; `redoubt config show` tells where each value comes from.
"""


def complete() -> str:
    """Every setting there is; it loads as it stands."""
    return _HEAD + "\n".join(_Explainer().section(root(), COMPLETE, 0)) + "\n"


def initial() -> str:
    """What `redoubt init` begins with: all on this machine."""
    return _HEAD + "\n".join(_Explainer().section(root(), INITIAL, 0)) + "\n"


class _Explainer:
    def __init__(self) -> None:
        self._explained: set[str] = set()

    def section(self, shape: Shape, given: dict[str, Any], depth: int) -> Iterator[str]:
        new = shape.get("title", "") not in self._explained
        self._explained.add(shape.get("title", ""))
        for name, about in shape["properties"].items():
            if depth == 0:
                yield ""
            value = given.get(name, about.get("default", {}))
            if new:
                yield from _comment(about, value, depth)
            yield from self._setting(name, plain(about, value), value, depth)

    def _setting(self, name: str, shape: Shape, value: Any, depth: int) -> Iterator[str]:
        indent = "  " * depth
        if isinstance(value, dict) and value and "properties" in shape:
            yield f"{indent}{name}:"
            yield from self.section(shape, value, depth + 1)
        elif isinstance(value, dict) and value and _models(shape):
            yield f"{indent}{name}:"
            for key, item in value.items():
                yield from self._setting(key, plain(below(shape, key, value), item), item, depth + 1)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            yield f"{indent}{name}:"
            for item in value:
                yield from self._item(plain(shape["items"], item), item, depth + 1)
        else:
            yield f"{indent}{name}: {_flow(value)}"

    def _item(self, shape: Shape, value: dict[str, Any], depth: int) -> Iterator[str]:
        """A mapping in a list: the dash takes the place of the first setting's indentation."""
        dashed = False
        for line in self.section(shape, value, depth + 1):
            if dashed:
                yield line
            else:
                dashed = not line.lstrip().startswith("#")
                yield "  " * depth + ("- " if dashed else "") + line.lstrip()


def _models(shape: Shape) -> bool:
    """Whether what stands under the names is a section of its own, not a plain value."""
    value = plain(below(shape, "x", {}))
    return "properties" in value or "discriminator" in value


def _comment(about: Shape, value: Any, depth: int) -> Iterator[str]:
    shape, default = plain(about), about.get("default", {})
    words = [about.get("description") or shape.get("description") or "", _choices(shape)]
    if default is None and value is not None:
        words.append("Optional.")
    elif value != default and not isinstance(default, dict):
        words.append(f"Default: {_flow(default)}.")
    for line in textwrap.wrap(" ".join(filter(None, words)), 100 - 2 * depth, break_on_hyphens=False):
        yield "  " * depth + f"# {line}"


def _choices(shape: Shape) -> str:
    if "enum" in shape:
        return f"One of {', '.join(shape['enum'])}."
    if "minimum" in shape and "maximum" in shape:
        return f"From {shape['minimum']} to {shape['maximum']}."
    return ""


def _flow(value: Any) -> str:
    text: str = yaml.safe_dump(
        value, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n").removesuffix("\n...")

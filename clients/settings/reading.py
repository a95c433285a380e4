"""YAML to plain values that remember their lines.

A reader of settings is strict where YAML is generous: one document, at most 1 MiB, no duplicate keys, no
anchors, aliases or tags, 32 levels. What it refuses it names by line, and it never quotes the text: a
secret that was typed in place of a reference must not come back in a message.
"""

from pathlib import Path
from typing import Any

import yaml

from clients.settings.document import Document, Place, Problem

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_OPENS = (
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
)
_CLOSES = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


class _RefusedError(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line, self.text = line, text


def read(file: Path) -> tuple[Document, tuple[Problem, ...]]:
    with file.open("rb") as stream:
        return parse(stream.read(MAX_BYTES + 1), file)


def parse(raw: bytes, file: Path) -> tuple[Document, tuple[Problem, ...]]:
    """As `read`, of bytes that are at hand; `file` names them in messages."""
    try:
        text = _text(raw)
        _strict(text)
        document = Document(file)
        document.data.update(_whole(yaml.compose(text, Loader=yaml.SafeLoader), document))
    except _RefusedError as refused:
        return Document(file), (Problem(f"{file.name}:{refused.line}", "", refused.text),)
    except yaml.MarkedYAMLError as broken:
        mark = broken.problem_mark or broken.context_mark
        line = mark.line + 1 if mark else 1
        return Document(file), (
            Problem(f"{file.name}:{line}", "", "this is not YAML, from here or just above"),
        )
    except yaml.YAMLError:
        return Document(file), (Problem(f"{file.name}:1", "", "the file holds characters that YAML forbids"),)
    return document, ()


def _text(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _RefusedError(1, f"the file is larger than {MAX_BYTES} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as broken:
        raise _RefusedError(raw.count(b"\n", 0, broken.start) + 1, "this is not UTF-8") from None


def _strict(text: str) -> None:
    """Refuse what YAML allows and settings don't, before anything is built from it."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        line = token.start_mark.line + 1
        if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
            raise _RefusedError(
                line, "anchors and aliases are not allowed; put a value that begins with & or * in quotes"
            )
        if isinstance(token, yaml.TagToken | yaml.DirectiveToken):
            raise _RefusedError(line, "tags are not allowed; put a value that begins with ! or % in quotes")
        depth += isinstance(token, _OPENS) - isinstance(token, _CLOSES)
        if depth > MAX_DEPTH:
            raise _RefusedError(line, f"more than {MAX_DEPTH} levels")


def _whole(node: yaml.Node | None, document: Document) -> dict[str, Any]:
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise _RefusedError(1, "the file must be a mapping of settings")
    return _mapping(node, (), document, yaml.SafeLoader(""))


def _mapping(
    node: yaml.MappingNode, at: Place, document: Document, loader: yaml.SafeLoader
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
            raise _RefusedError(line, "a setting's name must be a word")
        key = str(key_node.value)
        if key in values:
            raise _RefusedError(line, f"{'.'.join(map(str, (*at, key)))} is given twice")
        document.places[*at, key] = f"{document.file.name}:{line}"
        values[key] = _value(value_node, (*at, key), document, loader)
    return values


def _value(node: yaml.Node, at: Place, document: Document, loader: yaml.SafeLoader) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, at, document, loader)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            document.places[*at, index] = f"{document.file.name}:{item.start_mark.line + 1}"
        return [_value(item, (*at, index), document, loader) for index, item in enumerate(node.value)]
    try:
        return loader.construct_object(node)
    except ValueError:
        raise _RefusedError(node.start_mark.line + 1, "this value can't be read; put it in quotes") from None

"""Entries of a YAML document, changed where they stand and nowhere else."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from gateway.catalog.client_config.text_edit import TextEdit
from gateway.errors import InvalidInputError

_STEP = "  "


def set_yaml_entry(text: str, place: tuple[str, ...], name: str, value: Mapping[str, Any]) -> list[TextEdit]:
    """The edits that put `value` under `name` into the mapping at `place`, which is made where it is missing.

    Raises InvalidInputError for a text that is no mapping of blocks, or has something else at `place`.
    """
    root = _compose(text)
    if root is None:
        gap = "" if not text or text.endswith("\n") else "\n"
        return [TextEdit(len(text), len(text), gap + _block({place[0]: _nested(place[1:], name, value)}, ""))]
    current: yaml.Node = root
    steps = [*place, name]
    for position, step in enumerate(steps):
        if not isinstance(current, yaml.MappingNode):
            raise InvalidInputError(f"{'.'.join(steps[:position]) or 'The document'} is no mapping.")
        pair = next((pair for pair in current.value if pair[0].value == step), None)
        missing = _nested(tuple(steps[position + 1 : -1]), name, value) if position < len(steps) - 1 else value
        if pair is None:
            return [_insert(text, current, step, missing)]
        key, found = pair
        if position == len(steps) - 1:
            return [_replace(text, current, key, found, step, value)]
        if isinstance(found, yaml.ScalarNode) and found.tag == "tag:yaml.org,2002:null":
            # A key without a value, or with a null in its place.
            indent = " " * (key.start_mark.column + len(_STEP))
            start = _index(text, key.end_mark) + 1
            return [
                TextEdit(start, max(start, _index(text, found.end_mark)), "\n" + _block(missing, indent).rstrip("\n"))
            ]
        current = found
    raise AssertionError("the name is always the last step")


def remove_yaml_entry(text: str, place: tuple[str, ...], name: str) -> list[TextEdit]:
    """The edits that take `name` out of the mapping at `place`; none without it. Raises InvalidInputError."""
    current: yaml.Node | None = _compose(text)
    for step in place:
        pairs = current.value if isinstance(current, yaml.MappingNode) else ()
        current = next((value for key, value in pairs if key.value == step), None)
    if not isinstance(current, yaml.MappingNode):
        return []
    for position, (key, value) in enumerate(current.value):
        if key.value != name:
            continue
        if current.flow_style:
            others = current.value[position + 1 :]
            before = _index(text, current.value[position - 1][1].end_mark) if position else None
            if others:
                return [TextEdit(_index(text, key.start_mark), _index(text, others[0][0].start_mark), "")]
            return [TextEdit(before or _index(text, key.start_mark), _index(text, value.end_mark), "")]
        start, end = _line_start(text, _index(text, key.start_mark)), _content_end(text, key, value)
        if len(current.value) == 1:
            # A mapping without entries has to say that it is one.
            return [TextEdit(start, end, f"{' ' * key.start_mark.column}{{}}{text[end - 1 : end] if end else ''}")]
        return [TextEdit(start, end, "")]
    return []


def _compose(text: str) -> yaml.Node | None:
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InvalidInputError(f"This is not valid YAML: {reason}.") from None
    if len(documents) > 1:
        raise InvalidInputError("The file has more than one YAML document.")
    return documents[0] if documents else None


def _insert(text: str, parent: yaml.MappingNode, key: str, value: Any) -> TextEdit:
    """A new entry, before all others of its mapping: where they begin is beyond doubt."""
    if parent.flow_style:
        start = _index(text, parent.start_mark) + 1
        entry = f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        return TextEdit(start, start, entry + (", " if parent.value else ""))
    # A key may be written with a question mark, behind which it begins.
    first = min(parent.value[0][0].start_mark, parent.start_mark, key=lambda mark: mark.index)
    start = _index(text, first)
    indent = " " * first.column
    if first.column == 0:
        # At the top a new section goes to the end, where people look for it.
        gap = "" if text.endswith("\n") else "\n"
        return TextEdit(len(text), len(text), gap + _block({key: value}, ""))
    # The line of the first key begins with its indent already.
    return TextEdit(start, start, _block({key: value}, indent)[len(indent) :] + indent)


def _replace(
    text: str, parent: yaml.MappingNode, key: yaml.Node, value: yaml.Node, name: str, new: Mapping[str, Any]
) -> TextEdit:
    if parent.flow_style or (isinstance(value, yaml.CollectionNode) and value.flow_style):
        start, end = _index(text, value.start_mark), _index(text, value.end_mark)
        return TextEdit(start, end, json.dumps(new, ensure_ascii=False))
    indent = " " * key.start_mark.column
    start = _index(text, key.start_mark)
    return TextEdit(start, _content_end(text, key, value), _block({name: new}, indent)[len(indent) :])


def _content_end(text: str, key: yaml.Node, value: yaml.Node) -> int:
    """Behind the line with the last that belongs to a value; the end of a block includes comments that follow it."""
    end = max(_index(text, mark) for mark in (key.end_mark, *_leaf_ends(value)))
    if text[end - 1 : end] == "\n":
        return end
    newline = text.find("\n", end)
    return len(text) if newline < 0 else newline + 1


def _leaf_ends(node: yaml.Node) -> Iterator[Any]:
    if not isinstance(node, yaml.CollectionNode) or node.flow_style:
        yield node.end_mark
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _leaf_ends(key)
            yield from _leaf_ends(value)
    else:
        for value in node.value:
            yield from _leaf_ends(value)


def _nested(steps: tuple[str, ...], name: str, value: Any) -> dict[str, Any]:
    nested = {name: value}
    for step in reversed(steps):
        nested = {step: nested}
    return nested


def _block(value: Any, indent: str) -> str:
    return textwrap.indent(yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1_000), indent)


def _index(text: str, mark: Any) -> int:
    """A mark's position; a byte order mark is not counted by the parser."""
    return int(mark.index) + (1 if text.startswith("\ufeff") else 0)


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1

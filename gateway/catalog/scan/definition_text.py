"""The texts of a definition, each with its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.json_pointer import join_pointer

# Values of these keywords are for machines, and of fixed form.
_MACHINE_KEYWORDS = {
    "$ref",
    "$schema",
    "$id",
    "$anchor",
    "type",
    "format",
    "pattern",
    "contentEncoding",
    "src",
    "mimeType",
}
# Below these, every key is a name that the server's author chose.
_NAME_KEYED = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_MAX_DEPTH = 40


@dataclass(frozen=True, slots=True)
class DefinitionText:
    """One text that a model is shown. `place` is a JSON pointer; what `is_name` is an identifier, all else is prose."""

    place: str
    text: str
    is_name: bool = False


def iter_texts(definition: Mapping[str, Any]) -> Iterator[DefinitionText]:
    """Every text of a definition of a tool: names, descriptions, titles, values offered, annotations."""
    for key, value in definition.items():
        place = join_pointer("", key)
        if key == "name" and isinstance(value, str):
            yield DefinitionText(place, value, is_name=True)
        else:
            yield from _iter_nested(value, place, 0)


def _iter_nested(value: Any, place: str, depth: int) -> Iterator[DefinitionText]:
    if isinstance(value, str):
        yield DefinitionText(place, value)
    elif depth > _MAX_DEPTH:
        return
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _iter_nested(item, join_pointer(place, position), depth + 1)
    elif isinstance(value, Mapping):
        named = place.rpartition("/")[2] in _NAME_KEYED
        for key, item in value.items():
            below = join_pointer(place, key)
            if named:
                yield DefinitionText(below, key, is_name=True)
            elif key in _MACHINE_KEYWORDS and not isinstance(item, Mapping | list):
                continue
            yield from _iter_nested(item, below, depth + 1)

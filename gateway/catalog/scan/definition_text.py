"""The texts of a definition, each with where it stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Values of these keywords are for machines, and of fixed form.
_MACHINE = {"$ref", "$schema", "$id", "$anchor", "type", "format", "pattern", "contentEncoding", "src", "mimeType"}
# Below these, every key is a name that the server's author chose.
_NAMED = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}
_DEEPEST = 40


@dataclass(frozen=True, slots=True)
class DefinitionText:
    """One text that a model is shown. `place` is a JSON pointer; a `name` is an identifier, all else is prose."""

    place: str
    text: str
    name: bool = False


def passages(definition: Mapping[str, Any]) -> Iterator[DefinitionText]:
    """Every text of a definition of a tool: names, descriptions, titles, values offered, annotations."""
    for key, value in definition.items():
        place = f"/{_escaped(key)}"
        if key == "name" and isinstance(value, str):
            yield DefinitionText(place, value, name=True)
        else:
            yield from _below(value, place, 0)


def _below(value: Any, place: str, depth: int) -> Iterator[DefinitionText]:
    if isinstance(value, str):
        yield DefinitionText(place, value)
    elif depth > _DEEPEST:
        return
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _below(item, f"{place}/{position}", depth + 1)
    elif isinstance(value, Mapping):
        named = place.rpartition("/")[2] in _NAMED
        for key, item in value.items():
            where = f"{place}/{_escaped(key)}"
            if named:
                yield DefinitionText(where, key, name=True)
            elif key in _MACHINE and not isinstance(item, Mapping | list):
                continue
            yield from _below(item, where, depth + 1)


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")

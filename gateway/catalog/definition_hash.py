"""What a tool's definition means, whatever the order in which its server happens to list it.

Sets have no order in JSON Schema, yet servers list them as their languages iterate over them: otherwise after each
start. The hash of a definition, and what is called a change of it, are taken over this form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_SETS = ("required", "enum", "type")
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_SCHEMAS = (
    "items",
    "additionalItems",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contains",
    "propertyNames",
    "not",
    "if",
    "then",
    "else",
    "contentSchema",
)
_ALTERNATIVES = ("anyOf", "oneOf", "allOf")
_VALUES = ("default", "examples")


def hash_definition(definition: Mapping[str, Any]) -> bytes:
    """SHA-256 of what a definition means."""
    canonical = canonical_definition(definition)
    return hashlib.sha256(json.dumps(canonical, sort_keys=True).encode()).digest()


def canonical_definition(definition: Mapping[str, Any], *, sort_alternatives: bool = True) -> dict[str, Any]:
    """A definition with its sets in order. Without `sort_alternatives` schemas stay at their places in `anyOf` and its
    like, so that a path through them leads to where it led before.
    """
    canonical: dict[str, Any] = {}
    for key, value in definition.items():
        if key in ("inputSchema", "outputSchema"):
            canonical[key] = _canonical_schema(value, sort_alternatives)
        elif key == "_meta":
            canonical[key] = _without_order(value)
        else:
            canonical[key] = _plain(value)
    return canonical


def canonical_text(value: object) -> str:
    """A JSON value as text that is the same for the same value."""
    return json.dumps(value, sort_keys=True)


def _canonical_schema(schema: Any, sort_alternatives: bool) -> Any:
    if not isinstance(schema, dict):
        return schema
    return {
        key: canonical
        for key, value in schema.items()
        if (canonical := _canonical_keyword(key, value, sort_alternatives)) is not None or value is None
    }


def _canonical_keyword(key: str, value: Any, sort_alternatives: bool) -> Any:
    """The value of a keyword; None where it says nothing."""
    if key in _SETS and isinstance(value, list):
        values = _sorted(map(_plain, value))
        if key == "required":
            return values or None
        return values[0] if key == "type" and len(values) == 1 else values
    if key in _BY_NAME and isinstance(value, dict):
        return {name: _canonical_schema(schema, sort_alternatives) for name, schema in value.items()}
    if key in _SCHEMAS and isinstance(value, dict):
        return _canonical_schema(value, sort_alternatives)
    if key in ("items", "prefixItems") and isinstance(value, list):
        return [_canonical_schema(schema, sort_alternatives) for schema in value]
    if key in _ALTERNATIVES and isinstance(value, list):
        schemas = [_canonical_schema(schema, sort_alternatives) for schema in value]
        return _sorted(schemas) if sort_alternatives else schemas
    if key in ("dependentRequired", "dependencies") and isinstance(value, dict):
        return {
            name: _sorted(part) if isinstance(part, list) else _canonical_schema(part, sort_alternatives)
            for name, part in value.items()
        }
    return _without_order(value) if key in _VALUES else _plain(value)


def _without_order(value: Any) -> Any:
    """A value that is shown for example, in which lists, and lists written as text with commas, have no order."""
    if isinstance(value, dict):
        return {key: _without_order(part) for key, part in value.items()}
    if isinstance(value, list):
        return _sorted(map(_without_order, value))
    if isinstance(value, str) and "," in value:
        return ",".join(sorted(part.strip() for part in value.split(",")))
    return _plain(value)


def _plain(value: Any) -> Any:
    """A value in which equal numbers are written alike."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _sorted(values: Any) -> list[Any]:
    return sorted(values, key=canonical_text)

"""What JSON Schema lets its keywords be, so far as OpenAPI documents get it wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidInputError
from gateway.json_codec import Message

SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value is schemas by name."""

SCHEMA_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
"""Keywords whose value is a list of schemas."""

SCHEMAS = (
    "items",
    "additionalProperties",
    "not",
    "if",
    "then",
    "else",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "additionalItems",
    "contentSchema",
)
"""Keywords whose value is one schema."""

_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")
_VALUES = ("default", "const", "example")
_TEXTS = ("title", "description", "format", "$comment", "contentEncoding", "contentMediaType")
_NUMBERS = ("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum")
_COUNTS = (
    "maxLength",
    "minLength",
    "maxItems",
    "minItems",
    "maxProperties",
    "minProperties",
    "maxContains",
    "minContains",
)
# With these a schema would have an address of its own, from which its references were to be read.
_IDENTITY = ("$schema", "$id", "$anchor", "$dynamicAnchor")


def sound_keywords(schema: Mapping[str, Any]) -> Message:
    """`schema` without what says nothing: nulls, descriptions that are no text, `required` as a flag.

    Raises InvalidInputError with the keyword whose value JSON Schema does not know; schemas within are not looked at.
    """
    sound: Message = {}
    for key, value in schema.items():
        if key in _IDENTITY or (value is None and key not in _VALUES) or (key in _TEXTS and not isinstance(value, str)):
            continue
        # As JSON Schema had it before version 4, and many still write it.
        if key == "required" and isinstance(value, bool):
            continue
        if not _is_sound(key, value):
            raise InvalidInputError(f"a schema has {key} {_shown(value)}, which JSON Schema does not know")
        if key == "items" and isinstance(value, list):
            sound["prefixItems"] = value
        else:
            sound[key] = value
    return sound


def _is_sound(key: str, value: Any) -> bool:
    if key == "type":
        return value in _TYPES if isinstance(value, str) else _is_list_of(value, str) and set(value) <= set(_TYPES)
    if key in SCHEMA_MAPS:
        return isinstance(value, Mapping)
    if key in SCHEMA_LISTS:
        return isinstance(value, list) and bool(value)
    if key == "enum":
        return isinstance(value, list)
    if key == "required":
        return value == [] or _is_list_of(value, str)
    if key in _NUMBERS:
        return isinstance(value, (int, float)) and (not isinstance(value, bool) or key.startswith("exclusive"))
    if key in _COUNTS:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    if key in ("pattern", "$ref"):
        return isinstance(value, str)
    return isinstance(value, bool) if key == "uniqueItems" else True


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, kind) for each in value)


def _shown(value: Any) -> str:
    return repr(value)[:100]

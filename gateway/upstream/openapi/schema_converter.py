"""Schemas of an OpenAPI document as JSON Schema that stands by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.json_codec import Message
from gateway.upstream.openapi.document import OpenApiDocument

# What OpenAPI adds to JSON Schema and clients of tools have no use for.
_LEFT_OUT = ("discriminator", "xml", "externalDocs", "nullable")
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_AS_VALUE = ("default", "example", "examples", "enum", "const")


class SchemaConverter:
    """The schemas of one tool; what they refer to is collected in `definitions`."""

    def __init__(self, document: OpenApiDocument) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        self.definitions: Message = {}

    def convert(self, schema: Any) -> Any:
        """`schema` with references to `#/$defs`. Raises InvalidInputError for a reference that leads nowhere."""
        if not isinstance(schema, Mapping):
            return schema
        if isinstance(schema.get("$ref"), str):
            beside = {key: self._value(key, value) for key, value in schema.items() if key != "$ref"}
            return {"$ref": f"#/$defs/{self._definition_name(schema['$ref'])}", **beside}
        converted = {key: self._value(key, value) for key, value in schema.items() if key not in _LEFT_OUT}
        return _with_modern_keywords(schema, converted)

    def _value(self, key: str, value: Any) -> Any:
        if key in _AS_VALUE or key.startswith("x-"):
            return value
        if key in _BY_NAME and isinstance(value, Mapping):
            return {name: self.convert(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.convert(part) for part in value]
        return self.convert(value)

    def _definition_name(self, reference: str) -> str:
        if reference not in self._names:
            base = re.sub(r"[^A-Za-z0-9_.-]", "_", reference.rpartition("/")[2])
            name, number = base, 2
            while name in self.definitions:
                name, number = f"{base}_{number}", number + 1
            self._names[reference] = name
            self.definitions[name] = {}
            self.definitions[name] = self.convert(self._document.resolve(reference))
        return self._names[reference]


def _with_modern_keywords(schema: Mapping[str, Any], converted: Message) -> Message:
    """What OpenAPI 3.0 says in words of its own: `nullable`, and exclusive limits as flags."""
    if schema.get("nullable") is True:
        if isinstance(converted.get("type"), str):
            converted["type"] = [converted["type"], "null"]
        if isinstance(converted.get("enum"), list) and None not in converted["enum"]:
            converted["enum"] = [*converted["enum"], None]
    for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        flag = converted.get(exclusive)
        if flag is True and limit in converted:
            converted[exclusive] = converted.pop(limit)
        elif isinstance(flag, bool):
            del converted[exclusive]
    return converted

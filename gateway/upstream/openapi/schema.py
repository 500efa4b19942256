"""Schemas of an OpenAPI document as JSON Schema that stands by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.json_codec import Message
from gateway.upstream.openapi.document import Document

# What OpenAPI adds to JSON Schema and clients of tools have no use for.
_LEFT_OUT = ("discriminator", "xml", "externalDocs", "nullable")
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_AS_VALUE = ("default", "example", "examples", "enum", "const")


class Schemas:
    """The schemas of one tool; what they refer to is collected in `definitions`."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        self.definitions: Message = {}

    def standing(self, schema: Any) -> Any:
        """`schema` with references to `#/$defs`. Raises InvalidInputError for a reference that leads nowhere."""
        if not isinstance(schema, Mapping):
            return schema
        if isinstance(schema.get("$ref"), str):
            beside = {key: self._value(key, value) for key, value in schema.items() if key != "$ref"}
            return {"$ref": f"#/$defs/{self._defined(schema['$ref'])}", **beside}
        converted = {key: self._value(key, value) for key, value in schema.items() if key not in _LEFT_OUT}
        return _with_modern_words(schema, converted)

    def _value(self, key: str, value: Any) -> Any:
        if key in _AS_VALUE or key.startswith("x-"):
            return value
        if key in _BY_NAME and isinstance(value, Mapping):
            return {name: self.standing(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.standing(part) for part in value]
        return self.standing(value)

    def _defined(self, reference: str) -> str:
        if reference not in self._names:
            plain = re.sub(r"[^A-Za-z0-9_.-]", "_", reference.rpartition("/")[2])
            name, number = plain, 2
            while name in self.definitions:
                name, number = f"{plain}_{number}", number + 1
            self._names[reference] = name
            self.definitions[name] = {}
            self.definitions[name] = self.standing(self._document.at(reference))
        return self._names[reference]


def _with_modern_words(schema: Mapping[str, Any], converted: Message) -> Message:
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

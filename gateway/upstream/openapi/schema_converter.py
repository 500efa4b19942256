"""Schemas of an OpenAPI document as JSON Schema that stands by itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.errors import InvalidInputError
from gateway.json_codec import Message
from gateway.upstream.openapi.document import OpenApiDocument
from gateway.upstream.openapi.schema_keywords import SCHEMA_LISTS, SCHEMA_MAPS, SCHEMAS, sound_keywords

# What OpenAPI adds to JSON Schema and clients of tools have no use for.
_LEFT_OUT = ("discriminator", "xml", "externalDocs", "nullable")


class SchemaConverter:
    """The schemas of one tool; what they refer to is collected in `definitions`."""

    def __init__(self, document: OpenApiDocument) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        self.definitions: Message = {}

    def convert(self, schema: Any) -> Any:
        """`schema` with references to `#/$defs`.

        Raises InvalidInputError for a reference that leads nowhere, and for what JSON Schema does not know.
        """
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, Mapping):
            raise InvalidInputError(f"a schema is {repr(schema)[:100]}, which is neither an object nor true or false")
        sound = sound_keywords(schema)
        if "$ref" in sound:
            beside = {key: self._value(key, value) for key, value in sound.items() if key not in ("$ref", *_LEFT_OUT)}
            return {"$ref": f"#/$defs/{self._definition_name(sound['$ref'])}", **beside}
        converted = {key: self._value(key, value) for key, value in sound.items() if key not in _LEFT_OUT}
        return _with_modern_keywords(schema, converted)

    def _value(self, key: str, value: Any) -> Any:
        if key in SCHEMA_MAPS:
            return {name: self.convert({} if part is None else part) for name, part in value.items()}
        if key in SCHEMA_LISTS:
            return [self.convert({} if part is None else part) for part in value]
        return self.convert(value) if key in SCHEMAS else value

    def _definition_name(self, reference: str) -> str:
        if reference not in self._names:
            # References that lead to nothing but each other describe nothing.
            self._document.dereference({"$ref": reference})
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

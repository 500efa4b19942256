"""OpenAPI documents, 3.0 and 3.1, as values in which every reference within the document can be followed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import yaml

from gateway.errors import InvalidInputError
from gateway.json_codec import Message
from gateway.json_pointer import unescape_step
from gateway.upstream.openapi.yaml_values import read_yaml

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""The largest document taken, in bytes."""

_MAX_REFERENCES = 50


class OpenApiDocument:
    """A document of which the frame is known to be sound."""

    def __init__(self, name: str, values: Message) -> None:
        self._name = name
        self.values = values

    def dereference(self, value: Any) -> Any:
        """`value`, or what it refers to; `$ref` leads within the document only. Raises InvalidInputError."""
        for _ in range(_MAX_REFERENCES):
            if not isinstance(value, Mapping) or not isinstance(value.get("$ref"), str):
                return value
            value = self.resolve(value["$ref"])
        raise InvalidInputError(
            f"The OpenAPI document of {self._name} has a reference that leads in a circle.", "document"
        )

    def resolve(self, reference: str) -> Any:
        """What stands at a reference, as JSON pointers say it (RFC 6901). Raises InvalidInputError."""
        if not reference.startswith("#/"):
            raise InvalidInputError(
                f"The OpenAPI document of {self._name} refers to {reference[:200]!r}, which is no place in it; "
                "bundle all into one document.",
                "document",
            )
        value: Any = self.values
        for part in reference[2:].split("/"):
            key = unescape_step(unquote(part))
            if isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            elif isinstance(value, Mapping) and key in value:
                value = value[key]
            else:
                raise InvalidInputError(
                    f"The OpenAPI document of {self._name} refers to {reference[:200]!r}, which is not in it; "
                    "correct it.",
                    "document",
                )
        return value


def parse_document(name: str, text: str | bytes) -> OpenApiDocument:
    """The document of the server called `name`, in JSON or YAML; each of its operations is judged when it is read.

    Raises InvalidInputError for a document that is too large, cannot be read, is of another version, or has no paths.
    """
    if len(text) > MAX_DOCUMENT_BYTES:
        raise InvalidInputError(
            f"The OpenAPI document of {name} is over {MAX_DOCUMENT_BYTES:,} bytes; take a part of it.", "document"
        )
    values = _load(name, text)
    version = values.get("openapi") if isinstance(values, dict) else None
    # In YAML, 3.0 is a number, and some write it so.
    if isinstance(version, float):
        version = str(version)
    if not isinstance(version, str) or not version.startswith(("3.0", "3.1")):
        said = f"of version {str(version)[:20]}" if version else "not an OpenAPI document"
        if isinstance(values, dict) and values.get("swagger"):
            raise InvalidInputError(
                f"The document of {name} is Swagger {str(values['swagger'])[:20]}; OpenAPI 3.0 and 3.1 are read, so "
                "convert it first, for instance with swagger2openapi.",
                "document",
            )
        raise InvalidInputError(f"The document of {name} is {said}; OpenAPI 3.0 and 3.1 are read.", "document")
    if not isinstance(values.get("paths") or {}, dict):
        raise InvalidInputError(
            f"The OpenAPI document of {name} has paths that are not an object; correct it.", "document"
        )
    return OpenApiDocument(name, values)


def _load(name: str, text: str | bytes) -> Any:
    try:
        try:
            return json.loads(text)
        except ValueError:
            return read_yaml(f"The OpenAPI document of {name}", text, MAX_DOCUMENT_BYTES)
    except (ValueError, yaml.YAMLError, RecursionError):
        raise InvalidInputError(
            f"The OpenAPI document of {name} is neither JSON nor YAML; correct it.", "document"
        ) from None

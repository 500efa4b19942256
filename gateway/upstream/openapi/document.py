"""OpenAPI documents, 3.0 and 3.1, as values in which every reference within the document can be followed."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import yaml

from gateway.errors import InvalidInputError
from gateway.json_codec import Message
from gateway.json_pointer import unescape_step

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
            # An alias lets a small text become endlessly large.
            if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
                raise yaml.YAMLError("aliases are not read") from None
            return _with_string_keys(yaml.load(text, Loader=_Loader))  # noqa: S506  # nosec
    except (ValueError, yaml.YAMLError, RecursionError):
        raise InvalidInputError(
            f"The OpenAPI document of {name} is neither JSON nor YAML without aliases; correct it.", "document"
        ) from None


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML 1.2, where `no` and `12:30` are text, and without dates, which JSON has not."""


_OF_YAML_1_1 = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OF_YAML_1_1]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF")
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z"), list("-+0123456789"))


def _with_string_keys(value: Any) -> Any:
    """YAML's values as JSON has them: keys are strings."""
    if isinstance(value, dict):
        return {str(key): _with_string_keys(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_with_string_keys(part) for part in value]
    return value

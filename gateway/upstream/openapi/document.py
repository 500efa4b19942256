"""OpenAPI documents, 3.0 and 3.1, as values in which every reference within the document can be followed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import yaml
from openapi_pydantic.v3 import v3_0, v3_1
from pydantic import ValidationError

from gateway.errors import InvalidInputError
from gateway.json_codec import Message
from gateway.json_pointer import unescape_step

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
"""The largest document taken, in bytes."""

_MAX_REFERENCES = 50


class OpenApiDocument:
    """A document that its parser has accepted."""

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
                f"The OpenAPI document of {self._name} refers to {reference[:200]!r}, which is outside of it; "
                "bundle it into one document.",
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
    """The document of the server called `name`, in JSON or YAML.

    Raises InvalidInputError for a document that is too large, cannot be read, is of another version, or is not what
    OpenAPI says.
    """
    if len(text) > MAX_DOCUMENT_BYTES:
        raise InvalidInputError(
            f"The OpenAPI document of {name} is over {MAX_DOCUMENT_BYTES:,} bytes; take a part of it.", "document"
        )
    values = _load(name, text)
    version = values.get("openapi") if isinstance(values, dict) else None
    if not isinstance(version, str) or not version.startswith(("3.0", "3.1")):
        said = f"of version {str(version)[:20]}" if version else "not an OpenAPI document"
        raise InvalidInputError(f"The document of {name} is {said}; OpenAPI 3.0 and 3.1 are read.", "document")
    info = values.get("info")
    if isinstance(info, dict) and isinstance(info.get("version"), (int, float)):
        # In YAML, 1.0 is a number, and many write it so.
        info["version"] = str(info["version"])
    model = v3_0.OpenAPI if version.startswith("3.0") else v3_1.OpenAPI
    try:
        model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInputError(
            f"The OpenAPI document of {name} is not valid at {where[:200]}: {first['msg']}; correct it.", "document"
        ) from None
    return OpenApiDocument(name, values)


def _load(name: str, text: str | bytes) -> Any:
    try:
        try:
            return json.loads(text)
        except ValueError:
            # An alias lets a small text become endlessly large.
            if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)):
                raise yaml.YAMLError("aliases are not read") from None
            return _with_string_keys(yaml.load(text, Loader=_Loader))  # noqa: S506 - a safe loader
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


def iter_operations(document: OpenApiDocument) -> Iterator[tuple[str, str, Message, Message]]:
    """Every `(path, method, path item, operation)` of the document, in its order."""
    for path, listed in document.values.get("paths", {}).items():
        item = document.dereference(listed)
        if not isinstance(item, dict):
            continue
        for method in ("get", "put", "post", "delete", "options", "head", "patch", "trace"):
            if isinstance(item.get(method), dict):
                yield path, method, item, item[method]

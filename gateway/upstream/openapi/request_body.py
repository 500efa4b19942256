"""Bodies of requests: what an operation takes, and arguments written as that."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2

from gateway.errors import InvalidInputError
from gateway.json_codec import Message

FORM_TYPE = "application/x-www-form-urlencoded"
MULTIPART_TYPE = "multipart/form-data"

_FILE_TYPES = ("image/", "audio/", "video/", "font/")
_COMPOSED = ("properties", "allOf", "anyOf", "oneOf")
_FILES = ("application/octet-stream", "application/pdf", "application/zip", "application/gzip", "*/*")


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The body of a request: of several arguments by property, or of `whole_argument` alone; files are in base64.

    `deep_properties` are those that a form spells out by their paths. With `takes_more` arguments that are not declared
    are entries of the body, too. A `required` body in JSON is sent even if it is empty.
    """

    media_type: str
    properties: Mapping[str, str]
    whole_argument: str | None
    file_arguments: frozenset[str] = frozenset()
    deep_properties: frozenset[str] = frozenset()
    takes_more: bool = False
    required: bool = False


def is_json_type(media_type: str) -> bool:
    """Whether a media type is JSON (RFC 6839)."""
    bare = _bare_media_type(media_type)
    return bare == "application/json" or bare.endswith("+json")


def preferred_media_type(content: Mapping[str, Any]) -> str:
    """The media type that arguments are best written as."""

    def rank(media_type: str) -> int:
        bare = _bare_media_type(media_type)
        return 0 if is_json_type(bare) else {FORM_TYPE: 1, MULTIPART_TYPE: 2}.get(bare, 3)

    return min(content, key=rank)


def has_properties(media_type: str) -> bool:
    """Whether such a body is made of named properties."""
    return is_json_type(media_type) or _bare_media_type(media_type) in (FORM_TYPE, MULTIPART_TYPE)


def concrete_media_type(media_type: str, schema: Any) -> str:
    """`media_type`, or, as a range such as `*/*` cannot be sent, one in it that fits a body of `schema`."""
    bare = _bare_media_type(media_type)
    if "*" not in bare:
        return media_type
    if is_json_type(bare) or (bare in ("*/*", "application/*") and not is_file_body(bare, schema)):
        return "application/json"
    return "text/plain" if bare.startswith("text/") else "application/octet-stream"


def text_schema(schema: Any, media_type: str) -> Message:
    """The schema of a body that is written out as its media type says, such as XML."""
    said = schema.get("description") if isinstance(schema, Mapping) else None
    told = f"{said.rstrip()} " if isinstance(said, str) and said.strip() else ""
    return {"type": "string", "description": f"{told}As {_bare_media_type(media_type)}."}


def is_file_body(media_type: str, schema: Any) -> bool:
    """Whether a body of this type as a whole is a file."""
    if isinstance(schema, Mapping) and not schema.keys().isdisjoint(("type", "format", *_COMPOSED)):
        return is_file_schema(schema)
    bare = _bare_media_type(media_type)
    return bare in _FILES or bare.startswith(_FILE_TYPES)


def is_file_schema(schema: Any) -> bool:
    """Whether a schema is of bytes that are sent as they are: in words of OpenAPI 3.0, or of 3.1."""
    if not isinstance(schema, Mapping):
        return False
    return schema.get("format") == "binary" or ("contentMediaType" in schema and "contentEncoding" not in schema)


def base64_schema(schema: Mapping[str, Any]) -> Message:
    """The schema of a file as JSON can hold it."""
    said = schema.get("description")
    told = f"{said.rstrip()} In base64." if isinstance(said, str) and said.strip() else "A file, in base64."
    rest = {key: value for key, value in schema.items() if key != "format"}
    return {"type": "string", **rest, "contentEncoding": "base64", "description": told}


def encode_body(
    body: RequestBody, arguments: Mapping[str, Any], more: Mapping[str, Any], headers: dict[str, str]
) -> bytes | None:
    """The body that arguments make, its content type put into `headers`; None where they make none.

    `more` are entries of the body beyond its declared ones. Raises InvalidInputError for a file that is not in base64.
    """
    value: Any
    if body.whole_argument is not None:
        if body.whole_argument not in arguments and not more:
            return None
        value = arguments.get(body.whole_argument, more)
    else:
        value = {name: arguments[argument] for argument, name in body.properties.items() if argument in arguments}
        value = {**more, **value}
        if not value and not (body.required and is_json_type(body.media_type)):
            return None
    headers["content-type"] = body.media_type
    if is_json_type(body.media_type):
        return json.dumps(value, ensure_ascii=False).encode(errors="replace")
    if body.whole_argument in body.file_arguments:
        return _decode_file("body", value)
    if _bare_media_type(body.media_type) == MULTIPART_TYPE and isinstance(value, Mapping):
        return _encode_multipart(body, value, headers)
    if _bare_media_type(body.media_type) == FORM_TYPE and isinstance(value, Mapping):
        pairs: list[tuple[str, str]] = []
        for key, part in value.items():
            if key in body.deep_properties:
                pairs += deep_pairs(key, part)
            else:
                pairs += [(key, to_text(each)) for each in _as_list(part) if each is not None]
        return urlencode(pairs, errors="replace").encode()
    return to_text(value).encode(errors="replace")


def to_text(value: Any) -> str:
    """A value as text: strings as they are, nothing as nothing, all else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def deep_pairs(name: str, value: Any) -> list[tuple[str, str]]:
    """A value of any depth as pairs, in the spelling that Express, Rails and PHP read alike.

    `{"a": {"b": 1}, "ids": [1, 2]}` becomes `name[a][b]=1`, `name[ids][]=1`, `name[ids][]=2`; objects in a list are
    told apart by their position, `name[0][a]`.
    """
    if isinstance(value, Mapping):
        return [pair for key, part in value.items() for pair in deep_pairs(f"{name}[{key}]", part)]
    if isinstance(value, list):
        nested = any(isinstance(part, (Mapping, list)) for part in value)
        return [
            pair
            for position, part in enumerate(value)
            for pair in deep_pairs(f"{name}[{position if nested else ''}]", part)
        ]
    return [(name, to_text(value))]


def _encode_multipart(body: RequestBody, value: Mapping[str, Any], headers: dict[str, str]) -> bytes:
    files = {name for argument, name in body.properties.items() if argument in body.file_arguments}
    parts: list[tuple[str, tuple[str | None, bytes] | tuple[str | None, bytes, str]]] = []
    for name, given in value.items():
        for part in _as_list(given):
            if part is None:
                continue
            if name in files:
                parts.append((name, (name, _decode_file(name, part))))
            elif isinstance(part, Mapping):
                parts.append((name, (None, to_text(part).encode(), "application/json")))
            else:
                parts.append((name, (None, to_text(part).encode(errors="replace"))))
    request = httpx2.Request("POST", "http://multipart", files=parts)
    headers["content-type"] = request.headers["content-type"]
    return request.read()


def _as_list(part: Any) -> list[Any]:
    return part if isinstance(part, list) else [part]


def _decode_file(name: str, value: Any) -> bytes:
    try:
        return base64.b64decode(to_text(value), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError(f"The argument {name!r} is a file and has to be in base64.") from None


def _bare_media_type(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()

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

FORM = "application/x-www-form-urlencoded"
PARTS = "multipart/form-data"

_FILE_TYPES = ("image/", "audio/", "video/", "font/")
_FILES = ("application/octet-stream", "application/pdf", "application/zip", "application/gzip", "*/*")


@dataclass(frozen=True, slots=True)
class RequestBody:
    """The request body: of several arguments by property, or of one as a whole (`whole`); `files` are in base64."""

    media_type: str
    properties: Mapping[str, str]
    whole: str | None
    files: frozenset[str] = frozenset()


def is_json(media_type: str) -> bool:
    """Whether a media type is JSON (RFC 6839)."""
    plain = _bare(media_type)
    return plain == "application/json" or plain.endswith("+json")


def preferred(content: Mapping[str, Any]) -> str:
    """The media type that arguments are best written as."""

    def rank(media_type: str) -> int:
        plain = _bare(media_type)
        return 0 if is_json(plain) else {FORM: 1, PARTS: 2}.get(plain, 3)

    return min(content, key=rank)


def of_properties(media_type: str) -> bool:
    """Whether such a body is made of named properties."""
    return is_json(media_type) or _bare(media_type) in (FORM, PARTS)


def holds_file(media_type: str, schema: Any) -> bool:
    """Whether a body of this type as a whole is a file."""
    if isinstance(schema, Mapping) and (schema.get("type") or schema.get("format")):
        return is_file(schema)
    plain = _bare(media_type)
    return plain in _FILES or plain.startswith(_FILE_TYPES)


def is_file(schema: Any) -> bool:
    """Whether a schema is of bytes that are sent as they are: in words of OpenAPI 3.0, or of 3.1."""
    if not isinstance(schema, Mapping):
        return False
    return schema.get("format") == "binary" or ("contentMediaType" in schema and "contentEncoding" not in schema)


def in_base64(schema: Mapping[str, Any]) -> Message:
    """The schema of a file as JSON can hold it."""
    said = schema.get("description")
    told = f"{said.rstrip()} In base64." if isinstance(said, str) and said.strip() else "A file, in base64."
    rest = {key: value for key, value in schema.items() if key != "format"}
    return {"type": "string", **rest, "contentEncoding": "base64", "description": told}


def content_of(body: RequestBody, arguments: Mapping[str, Any], headers: dict[str, str]) -> bytes | None:
    """The body that arguments make, its content type put into `headers`; None where they make none.

    Raises InvalidInputError for a file that is not in base64.
    """
    value: Any
    if body.whole is not None:
        if body.whole not in arguments:
            return None
        value = arguments[body.whole]
    else:
        value = {name: arguments[argument] for argument, name in body.properties.items() if argument in arguments}
        if not value:
            return None
    headers["content-type"] = body.media_type
    if is_json(body.media_type):
        return json.dumps(value, ensure_ascii=False).encode(errors="replace")
    if body.whole in body.files:
        return _bytes("body", value)
    if _bare(body.media_type) == PARTS and isinstance(value, Mapping):
        return _parts(body, value, headers)
    if isinstance(value, Mapping):
        pairs = [(key, plain(each)) for key, part in value.items() for each in _several(part) if each is not None]
        return urlencode(pairs, errors="replace").encode()
    return plain(value).encode(errors="replace")


def plain(value: Any) -> str:
    """A value as text: strings as they are, nothing as nothing, all else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _parts(body: RequestBody, value: Mapping[str, Any], headers: dict[str, str]) -> bytes:
    files = {name for argument, name in body.properties.items() if argument in body.files}
    parts: list[tuple[str, tuple[str | None, bytes] | tuple[str | None, bytes, str]]] = []
    for name, given in value.items():
        for part in _several(given):
            if part is None:
                continue
            if name in files:
                parts.append((name, (name, _bytes(name, part))))
            elif isinstance(part, Mapping):
                parts.append((name, (None, plain(part).encode(), "application/json")))
            else:
                parts.append((name, (None, plain(part).encode(errors="replace"))))
    request = httpx2.Request("POST", "http://multipart", files=parts)
    headers["content-type"] = request.headers["content-type"]
    return request.read()


def _several(part: Any) -> list[Any]:
    return part if isinstance(part, list) else [part]


def _bytes(name: str, value: Any) -> bytes:
    try:
        return base64.b64decode(plain(value), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInputError(f"The argument {name!r} is a file and has to be in base64.") from None


def _bare(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()

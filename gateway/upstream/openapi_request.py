"""Arguments of a tool as an HTTP request, as the styles of OpenAPI parameters say."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import httpx2

from gateway.errors import InvalidInputError
from gateway.upstream.openapi_operation import Body, Operation, Parameter, is_json

_SEPARATORS = {"spaceDelimited": " ", "pipeDelimited": "|"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request below the API's address; `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None


def request_of(operation: Operation, arguments: Mapping[str, Any]) -> Request:
    """The request that calls `operation`. Raises InvalidInputError that names the argument that cannot be."""
    known = operation.definition["inputSchema"]["properties"]
    for name in arguments:
        if name not in known:
            raise InvalidInputError(f"There is no argument {name!r}; there are: {', '.join(known) or 'none'}.")
    for name in sorted(operation.required):
        if name not in arguments:
            raise InvalidInputError(f"The argument {name!r} is missing.")
    path = operation.path
    query: list[tuple[str, str]] = []
    headers = {"accept": "application/json, */*;q=0.5"}
    cookies: list[str] = []
    for parameter in operation.parameters:
        if parameter.argument not in arguments:
            continue
        value = arguments[parameter.argument]
        if parameter.where == "path":
            path = path.replace("{" + parameter.name + "}", _in_path(parameter, value))
        elif parameter.where == "query":
            query += _in_query(parameter, value)
        elif parameter.where == "header":
            headers[parameter.name] = _sendable(parameter, _joined(parameter, value, ","))
        else:
            cookies += [f"{quote(name)}={quote(part)}" for name, part in _in_query(parameter, value)]
    if cookies:
        headers["cookie"] = "; ".join(cookies)
    content = _content(operation.body, arguments, headers) if operation.body is not None else None
    return Request(operation.method, path + (f"?{urlencode(query)}" if query else ""), headers, content)


def _in_path(parameter: Parameter, value: Any) -> str:
    if parameter.style == "simple":
        text = _joined(parameter, value, ",", quoted=True)
    elif parameter.style == "label":
        text = "." + _joined(parameter, value, "." if parameter.explode else ",", quoted=True)
    else:
        pairs = _in_query(parameter, value)
        text = "".join(f";{quote(name, safe='')}={quote(part, safe='')}" for name, part in pairs)
    # A segment that is empty or made of dots would lead to another place than the operation's.
    if text in ("", ".", ".."):
        raise InvalidInputError(f"The argument {parameter.argument!r} may not be empty, . or .. here.")
    return text


def _in_query(parameter: Parameter, value: Any) -> list[tuple[str, str]]:
    name = parameter.name
    if parameter.as_json:
        return [(name, json.dumps(value))]
    if isinstance(value, Mapping):
        if parameter.style == "deepObject":
            return [(f"{name}[{key}]", _plain(part)) for key, part in value.items()]
        if parameter.explode:
            return [(str(key), _plain(part)) for key, part in value.items()]
    elif isinstance(value, list) and parameter.explode:
        return [(name, _plain(part)) for part in value]
    return [(name, _joined(parameter, value, _SEPARATORS.get(parameter.style, ",")))]


def _joined(parameter: Parameter, value: Any, separator: str, *, quoted: bool = False) -> str:
    def written(part: Any) -> str:
        return quote(_plain(part), safe="") if quoted else _plain(part)

    if parameter.as_json:
        return quote(json.dumps(value), safe="") if quoted else json.dumps(value)
    if isinstance(value, list):
        return separator.join(written(part) for part in value)
    if isinstance(value, Mapping):
        between = "=" if parameter.explode else separator
        return separator.join(f"{written(key)}{between}{written(part)}" for key, part in value.items())
    return written(value)


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _sendable(parameter: Parameter, text: str) -> str:
    if not text.isascii() or any(character < " " for character in text):
        raise InvalidInputError(f"The argument {parameter.argument!r} holds characters that a header cannot carry.")
    return text


def _content(body: Body, arguments: Mapping[str, Any], headers: dict[str, str]) -> bytes | None:
    value: Any
    if body.whole is not None:
        if body.whole not in arguments:
            return None
        value = arguments[body.whole]
    else:
        value = {name: arguments[argument] for argument, name in body.properties.items() if argument in arguments}
        if not value and not any(argument in arguments for argument in body.properties):
            return None
    headers["content-type"] = body.media_type
    if is_json(body.media_type):
        return json.dumps(value, ensure_ascii=False).encode()
    if body.media_type == "multipart/form-data" and isinstance(value, Mapping):
        return _multipart(body, value, headers)
    if isinstance(value, Mapping):
        return urlencode({key: _plain(part) for key, part in value.items()}).encode()
    return _plain(value).encode()


def _multipart(body: Body, value: Mapping[str, Any], headers: dict[str, str]) -> bytes:
    binary = {name for argument, name in body.properties.items() if argument in body.binary}
    files: list[tuple[str, tuple[str | None, bytes]]] = []
    for name, part in value.items():
        if name in binary:
            try:
                files.append((name, (name, base64.b64decode(_plain(part), validate=True))))
            except binascii.Error:
                raise InvalidInputError(f"The argument {name!r} is a file and has to be in base64.") from None
        else:
            files.append((name, (None, _plain(part).encode())))
    request = httpx2.Request("POST", "http://multipart", files=files)
    headers["content-type"] = request.headers["content-type"]
    return request.read()

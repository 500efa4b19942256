"""Arguments of a tool as an HTTP request, as the styles of OpenAPI parameters say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from gateway.errors import InvalidInputError
from gateway.upstream.openapi.body import content_of, plain
from gateway.upstream.openapi.operation import OpenApiOperation, OpenApiParameter

_SEPARATORS = {"spaceDelimited": " ", "pipeDelimited": "|"}


@dataclass(frozen=True, slots=True)
class OpenApiRequest:
    """A request below the API's address; `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None


def request_of(operation: OpenApiOperation, arguments: Mapping[str, Any]) -> OpenApiRequest:
    """The request that calls `operation`. Raises InvalidInputError that names the argument that cannot be."""
    known = operation.definition["inputSchema"]["properties"]
    for name in arguments:
        if name not in known:
            raise InvalidInputError(f"There is no argument {name!r}; there are: {', '.join(known) or 'none'}.")
    # Models say null of what they leave out; no parameter is null, while a property of a body may be.
    in_place = {parameter.argument for parameter in operation.parameters}
    arguments = {name: value for name, value in arguments.items() if value is not None or name not in in_place}
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
    content = content_of(operation.body, arguments, headers) if operation.body is not None else None
    return OpenApiRequest(operation.method, path + (f"?{_written(query)}" if query else ""), headers, content)


def _written(query: list[tuple[str, str]]) -> str:
    # Not every server takes a plus sign for a space.
    return urlencode(query, quote_via=quote, safe="", errors="replace")


def _in_path(parameter: OpenApiParameter, value: Any) -> str:
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


def _in_query(parameter: OpenApiParameter, value: Any) -> list[tuple[str, str]]:
    name = parameter.name
    if parameter.as_json:
        return [(name, json.dumps(value))]
    if isinstance(value, Mapping):
        if parameter.style == "deepObject":
            return [(f"{name}[{key}]", plain(part)) for key, part in value.items()]
        if parameter.explode:
            return [(str(key), plain(part)) for key, part in value.items()]
    elif isinstance(value, list) and parameter.explode:
        return [(name, plain(part)) for part in value]
    return [(name, _joined(parameter, value, _SEPARATORS.get(parameter.style, ",")))]


def _joined(parameter: OpenApiParameter, value: Any, separator: str, *, quoted: bool = False) -> str:
    def written(part: Any) -> str:
        return quote(plain(part), safe="") if quoted else plain(part)

    if parameter.as_json:
        return quote(json.dumps(value), safe="") if quoted else json.dumps(value)
    if isinstance(value, list):
        return separator.join(written(part) for part in value)
    if isinstance(value, Mapping):
        between = "=" if parameter.explode else separator
        return separator.join(f"{written(key)}{between}{written(part)}" for key, part in value.items())
    return written(value)


def _sendable(parameter: OpenApiParameter, text: str) -> str:
    if not text.isascii() or any(character < " " for character in text):
        raise InvalidInputError(f"The argument {parameter.argument!r} holds characters that a header cannot carry.")
    return text

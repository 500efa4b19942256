"""Arguments of a tool as an HTTP request, as the styles of OpenAPI parameters say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from gateway.errors import InvalidInputError
from gateway.upstream.openapi.operation import OpenApiOperation, OpenApiParameter
from gateway.upstream.openapi.request_body import deep_pairs, encode_body, to_text

_SEPARATORS = {"spaceDelimited": " ", "pipeDelimited": "|"}


@dataclass(frozen=True, slots=True)
class OpenApiRequest:
    """A request below the API's address; `target` is path and query."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None


def build_request(operation: OpenApiOperation, arguments: Mapping[str, Any]) -> OpenApiRequest:
    """The request that calls `operation`. Raises InvalidInputError that names the argument that cannot be."""
    known = operation.definition["inputSchema"]["properties"]
    arguments = {operation.renamed.get(name, name): value for name, value in arguments.items()}
    more = {name: value for name, value in arguments.items() if name not in known}
    for name in more:
        if operation.body is None or not operation.body.takes_more or operation.body.whole_argument in arguments:
            raise InvalidInputError(f"There is no argument {name!r}; there are: {', '.join(known) or 'none'}.")
    # Models say null of what they leave out; no parameter is null, while a property of a body may be.
    in_place = {parameter.argument for parameter in operation.parameters}
    arguments = {name: value for name, value in arguments.items() if value is not None or name not in in_place}
    for name in sorted(operation.required):
        if name not in arguments and not (more and operation.body and name == operation.body.whole_argument):
            raise InvalidInputError(f"The argument {name!r} is missing.")
    path = operation.path
    query: list[tuple[str, str]] = []
    headers = {"accept": "application/json, */*;q=0.5"}
    cookies: list[str] = []
    for parameter in operation.parameters:
        if parameter.argument not in arguments:
            continue
        value = arguments[parameter.argument]
        if parameter.location == "path":
            path = path.replace("{" + parameter.name + "}", _path_segment(parameter, value))
        elif parameter.location == "query":
            query += _query_pairs(parameter, value)
        elif parameter.location == "header":
            headers[parameter.name] = _header_value(parameter, _format_value(parameter, value, ","))
        else:
            cookies += [f"{quote(name)}={quote(part)}" for name, part in _query_pairs(parameter, value)]
    if cookies:
        headers["cookie"] = "; ".join(cookies)
    content = encode_body(operation.body, arguments, more, headers) if operation.body is not None else None
    # Some paths carry a part of the query themselves.
    separator = "&" if "?" in path else "?"
    target = path + (f"{separator}{_encode_query(query)}" if query else "")
    return OpenApiRequest(operation.method, target, headers, content)


def _encode_query(query: list[tuple[str, str]]) -> str:
    # Not every server takes a plus sign for a space.
    return urlencode(query, quote_via=quote, safe="", errors="replace")


def _path_segment(parameter: OpenApiParameter, value: Any) -> str:
    if parameter.style == "simple":
        text = _format_value(parameter, value, ",", quoted=True)
    elif parameter.style == "label":
        text = "." + _format_value(parameter, value, "." if parameter.explode else ",", quoted=True)
    else:
        pairs = _query_pairs(parameter, value)
        text = "".join(f";{quote(name, safe='')}={quote(part, safe='')}" for name, part in pairs)
    # A segment that is empty or made of dots would lead to another place than the operation's.
    if text in ("", ".", ".."):
        raise InvalidInputError(f"The argument {parameter.argument!r} may not be empty, . or .. here.")
    return text


def _query_pairs(parameter: OpenApiParameter, value: Any) -> list[tuple[str, str]]:
    name = parameter.name
    if parameter.as_json:
        return [(name, json.dumps(value))]
    if isinstance(value, Mapping):
        if parameter.style == "deepObject":
            return deep_pairs(name, value)
        if parameter.explode:
            return [(str(key), to_text(part)) for key, part in value.items()]
    elif isinstance(value, list) and parameter.explode:
        return [(name, to_text(part)) for part in value]
    return [(name, _format_value(parameter, value, _SEPARATORS.get(parameter.style, ",")))]


def _format_value(parameter: OpenApiParameter, value: Any, separator: str, *, quoted: bool = False) -> str:
    def encoded(part: Any) -> str:
        return quote(to_text(part), safe="") if quoted else to_text(part)

    if parameter.as_json:
        return quote(json.dumps(value), safe="") if quoted else json.dumps(value)
    if isinstance(value, list):
        return separator.join(encoded(part) for part in value)
    if isinstance(value, Mapping):
        between = "=" if parameter.explode else separator
        return separator.join(f"{encoded(key)}{between}{encoded(part)}" for key, part in value.items())
    return encoded(value)


def _header_value(parameter: OpenApiParameter, text: str) -> str:
    if not text.isascii() or any(character < " " for character in text):
        raise InvalidInputError(f"The argument {parameter.argument!r} holds characters that a header cannot carry.")
    return text

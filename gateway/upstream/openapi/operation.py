"""The operations of an OpenAPI document as tools."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.json_codec import Message
from gateway.upstream.openapi.body import RequestBody, holds_file, in_base64, is_file, is_json, of_properties, preferred
from gateway.upstream.openapi.document import Document, operations
from gateway.upstream.openapi.schema import Schemas

_NAME_LENGTH = 128
# OpenAPI says of these that a parameter of that name is to be ignored; they are the gateway's to set.
_OWN_HEADERS = ("accept", "content-type", "authorization")
_IN_PATH = re.compile(r"\{([^{}/]+)\}")


@dataclass(frozen=True, slots=True)
class OpenApiParameter:
    """Where an argument goes: `where` is path, query, header or cookie; `style` and `explode` as OpenAPI has them."""

    argument: str
    name: str
    where: str
    style: str
    explode: bool
    as_json: bool


@dataclass(frozen=True, slots=True)
class OpenApiOperation:
    """An operation that can be called as the tool that `definition` describes."""

    method: str
    path: str
    parameters: tuple[OpenApiParameter, ...]
    body: RequestBody | None
    required: frozenset[str]
    definition: Message


def tools_of(document: Document, set_already: Collection[tuple[str, str]] = ()) -> dict[str, OpenApiOperation]:
    """Every operation by the name of its tool. Raises InvalidInputError for references that lead nowhere.

    `set_already` are parameters that are not the caller's to give, as `(where, name)`, names of headers in lower case.
    """
    found: dict[str, OpenApiOperation] = {}
    for path, method, item, operation in operations(document):
        name = _free_name(operation.get("operationId") or f"{method}_{path}", found)
        found[name] = _Reader(document, set_already).read(name, method, path, item, operation)
    return found


class _Reader:
    """Reads one operation; its arguments get names that do not collide."""

    def __init__(self, document: Document, set_already: Collection[tuple[str, str]]) -> None:
        self._document = document
        self._set_already = set_already
        self._schemas = Schemas(document)
        self._properties: Message = {}
        self._required: list[str] = []

    def read(self, name: str, method: str, path: str, item: Message, operation: Message) -> OpenApiOperation:
        parameters = [self._parameter(declared) for declared in self._declared(path, item, operation)]
        body = self._body(self._document.followed(operation.get("requestBody")))
        schema: Message = {"type": "object", "properties": self._properties}
        if self._required:
            schema["required"] = self._required
        if self._schemas.definitions:
            schema["$defs"] = self._schemas.definitions
        definition: Message = {"name": name, "inputSchema": {**schema, "additionalProperties": False}}
        if _text(operation, "summary"):
            definition["title"] = _text(operation, "summary")
        definition["description"] = _description(method, path, item, operation)
        definition["annotations"] = _annotations(method)
        return OpenApiOperation(method.upper(), path, tuple(parameters), body, frozenset(self._required), definition)

    def _declared(self, path: str, item: Message, operation: Message) -> list[Message]:
        """The parameters of the path, then those of the operation, which go before them."""
        declared: dict[tuple[str, str], Message] = {}
        for entry in [*item.get("parameters", ()), *operation.get("parameters", ())]:
            parameter = self._document.followed(entry)
            where, name = parameter["in"], parameter["name"]
            known = name.lower() if where == "header" else name
            if (where, known) not in self._set_already and (where != "header" or known not in _OWN_HEADERS):
                declared[where, name] = parameter
        for name in _IN_PATH.findall(path):
            declared.setdefault(("path", name), {"in": "path", "name": name, "schema": {"type": "string"}})
        return list(declared.values())

    def _parameter(self, declared: Message) -> OpenApiParameter:
        where, name = declared["in"], declared["name"]
        content = declared.get("content")
        schema = declared.get("schema")
        if isinstance(content, dict) and content:
            schema = next(iter(content.values())).get("schema")
        style = declared.get("style") or ("form" if where in ("query", "cookie") else "simple")
        required = where == "path" or bool(declared.get("required"))
        argument = self._argument(name, f"{name}_{where}", schema, declared, required)
        return OpenApiParameter(
            argument, name, where, style, bool(declared.get("explode", style == "form")), bool(content)
        )

    def _body(self, declared: Any) -> RequestBody | None:
        if not isinstance(declared, dict) or not declared.get("content"):
            return None
        media_type = preferred(declared["content"])
        schema = declared["content"][media_type].get("schema") or {}
        required = bool(declared.get("required"))
        parts = self._document.followed(schema)
        if not of_properties(media_type) or not isinstance(parts, dict) or not _is_plain_object(parts):
            file = not is_json(media_type) and holds_file(media_type, parts)
            shown = in_base64(parts) if file and isinstance(parts, dict) else schema
            argument = self._argument("body", "request_body", shown, declared, required)
            return RequestBody(media_type, {}, argument, frozenset([argument] if file else []))
        needed = parts.get("required", ()) if required else ()
        properties: dict[str, str] = {}
        files = set()
        for name, part in parts["properties"].items():
            held = self._document.followed(part)
            if isinstance(held, dict) and held.get("readOnly"):
                continue
            shown = part if is_json(media_type) else self._with_files(held, part)
            argument = self._argument(name, f"{name}_body", shown, {}, name in needed)
            properties[argument] = name
            if shown is not part:
                files.add(argument)
        return RequestBody(media_type, properties, None, frozenset(files))

    def _with_files(self, held: Any, part: Any) -> Any:
        """`part`, unless what it leads to is a file or a list of files: then that, to be given in base64."""
        if is_file(held):
            return in_base64(held)
        items = self._document.followed(held.get("items")) if isinstance(held, dict) else None
        return {**held, "items": in_base64(items)} if isinstance(items, dict) and is_file(items) else part

    def _argument(self, name: str, other: str, schema: Any, declared: Message, required: bool) -> str:
        argument, number = name, 1
        while argument in self._properties:
            argument, number = (other if number == 1 else f"{other}_{number}"), number + 1
        standing = self._schemas.standing(schema if isinstance(schema, dict) else {})
        if _text(declared, "description") and "description" not in standing:
            standing = {**standing, "description": _text(declared, "description")}
        self._properties[argument] = standing
        if required:
            self._required.append(argument)
        return argument


def _is_plain_object(schema: Mapping[str, Any]) -> bool:
    return isinstance(schema.get("properties"), dict) and not any(
        word in schema for word in ("allOf", "anyOf", "oneOf", "not", "nullable")
    )


def _free_name(wanted: str, taken: Mapping[str, object]) -> str:
    plain = re.sub(r"_*[^A-Za-z0-9_.-]+_*", "_", wanted).strip("_")[:_NAME_LENGTH] or "operation"
    name, number = plain, 2
    while name in taken:
        ending = f"_{number}"
        name, number = plain[: _NAME_LENGTH - len(ending)] + ending, number + 1
    return name


def _description(method: str, path: str, item: Message, operation: Message) -> str:
    said = dict.fromkeys(
        text
        for text in (
            _text(operation, "summary") or _text(item, "summary"),
            _text(operation, "description") or _text(item, "description"),
            "Deprecated." if operation.get("deprecated") is True else "",
        )
        if text
    )
    return "\n\n".join(said) or f"{method.upper()} {path}"


def _annotations(method: str) -> dict[str, bool]:
    """What HTTP says of a method (RFC 9110, section 9.2)."""
    reading = method in ("get", "head", "options", "trace")
    if reading:
        return {"readOnlyHint": True, "openWorldHint": True}
    return {
        "readOnlyHint": False,
        "destructiveHint": method in ("delete", "put", "patch"),
        "idempotentHint": method in ("delete", "put"),
        "openWorldHint": True,
    }


def _text(values: Mapping[str, Any], key: str) -> str:
    value = values.get(key)
    return value.strip() if isinstance(value, str) else ""

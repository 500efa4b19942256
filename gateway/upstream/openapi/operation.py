"""The operations of an OpenAPI document as tools."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.json_codec import Message
from gateway.upstream.openapi.document import OpenApiDocument, iter_operations
from gateway.upstream.openapi.request_body import (
    RequestBody,
    base64_schema,
    has_properties,
    is_file_body,
    is_file_schema,
    is_json_type,
    preferred_media_type,
)
from gateway.upstream.openapi.schema_converter import SchemaConverter

_NAME_LENGTH = 128
# OpenAPI says of these that a parameter of that name is to be ignored; they are the gateway's to set.
_OWN_HEADERS = ("accept", "content-type", "authorization")
# Underscores beside it go with it; a longer run of them is not read again from each.
_NO_NAME = re.compile(r"_{0,8}[^A-Za-z0-9_.-]+_*")
_IN_PATH = re.compile(r"\{([^{}/]+)\}")


@dataclass(frozen=True, slots=True)
class OpenApiParameter:
    """Where an argument goes: `location` is path, query, header or cookie; `style` and `explode` are OpenAPI's."""

    argument: str
    name: str
    location: str
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


def build_operations(
    document: OpenApiDocument, preset: Collection[tuple[str, str]] = ()
) -> dict[str, OpenApiOperation]:
    """Every operation by the name of its tool. Raises InvalidInputError for references that lead nowhere.

    `preset` are parameters that are not the caller's to give, as `(location, name)`, names of headers in lower case.
    """
    found: dict[str, OpenApiOperation] = {}
    for path, method, item, operation in iter_operations(document):
        name = _unused_name(operation.get("operationId") or f"{method}_{path}", found)
        found[name] = _OperationReader(document, preset).read(name, method, path, item, operation)
    return found


class _OperationReader:
    """Reads one operation; its arguments get names that do not collide."""

    def __init__(self, document: OpenApiDocument, preset: Collection[tuple[str, str]]) -> None:
        self._document = document
        self._preset = preset
        self._schemas = SchemaConverter(document)
        self._properties: Message = {}
        self._required: list[str] = []

    def read(self, name: str, method: str, path: str, item: Message, operation: Message) -> OpenApiOperation:
        parameters = [self._parameter(declared) for declared in self._declared(path, item, operation)]
        body = self._body(self._document.dereference(operation.get("requestBody")))
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
            parameter = self._document.dereference(entry)
            location, name = parameter["in"], parameter["name"]
            known = name.lower() if location == "header" else name
            if (location, known) not in self._preset and (location != "header" or known not in _OWN_HEADERS):
                declared[location, name] = parameter
        for name in _IN_PATH.findall(path):
            declared.setdefault(("path", name), {"in": "path", "name": name, "schema": {"type": "string"}})
        return list(declared.values())

    def _parameter(self, declared: Message) -> OpenApiParameter:
        location, name = declared["in"], declared["name"]
        content = declared.get("content")
        schema = declared.get("schema")
        if isinstance(content, dict) and content:
            schema = next(iter(content.values())).get("schema")
        style = declared.get("style") or ("form" if location in ("query", "cookie") else "simple")
        required = location == "path" or bool(declared.get("required"))
        argument = self._argument(name, f"{name}_{location}", schema, declared, required)
        return OpenApiParameter(
            argument, name, location, style, bool(declared.get("explode", style == "form")), bool(content)
        )

    def _body(self, declared: Any) -> RequestBody | None:
        if not isinstance(declared, dict) or not declared.get("content"):
            return None
        media_type = preferred_media_type(declared["content"])
        schema = declared["content"][media_type].get("schema") or {}
        required = bool(declared.get("required"))
        parts = self._document.dereference(schema)
        if not has_properties(media_type) or not isinstance(parts, dict) or not _is_plain_object(parts):
            file = not is_json_type(media_type) and is_file_body(media_type, parts)
            shown = base64_schema(parts) if file and isinstance(parts, dict) else schema
            argument = self._argument("body", "request_body", shown, declared, required)
            return RequestBody(media_type, {}, argument, frozenset([argument] if file else []))
        needed = parts.get("required", ()) if required else ()
        properties: dict[str, str] = {}
        files = set()
        for name, part in parts["properties"].items():
            held = self._document.dereference(part)
            if isinstance(held, dict) and held.get("readOnly"):
                continue
            shown = part if is_json_type(media_type) else self._with_files(held, part)
            argument = self._argument(name, f"{name}_body", shown, {}, name in needed)
            properties[argument] = name
            if shown is not part:
                files.add(argument)
        return RequestBody(media_type, properties, None, frozenset(files))

    def _with_files(self, held: Any, part: Any) -> Any:
        """`part`, unless what it leads to is a file or a list of files: then that, to be given in base64."""
        if is_file_schema(held):
            return base64_schema(held)
        items = self._document.dereference(held.get("items")) if isinstance(held, dict) else None
        return {**held, "items": base64_schema(items)} if isinstance(items, dict) and is_file_schema(items) else part

    def _argument(self, name: str, other: str, schema: Any, declared: Message, required: bool) -> str:
        argument, number = name, 1
        while argument in self._properties:
            argument, number = (other if number == 1 else f"{other}_{number}"), number + 1
        converted = self._schemas.convert(schema if isinstance(schema, dict) else {})
        if _text(declared, "description") and "description" not in converted:
            converted = {**converted, "description": _text(declared, "description")}
        self._properties[argument] = converted
        if required:
            self._required.append(argument)
        return argument


def _is_plain_object(schema: Mapping[str, Any]) -> bool:
    return isinstance(schema.get("properties"), dict) and not any(
        word in schema for word in ("allOf", "anyOf", "oneOf", "not", "nullable")
    )


def _unused_name(wanted: str, taken: Mapping[str, object]) -> str:
    base = _NO_NAME.sub("_", wanted).strip("_")[:_NAME_LENGTH] or "operation"
    name, number = base, 2
    while name in taken:
        ending = f"_{number}"
        name, number = base[: _NAME_LENGTH - len(ending)] + ending, number + 1
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

"""Operations read from an OpenAPI document, each judged by itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from gateway.errors import InvalidInputError
from gateway.json_codec import Message
from gateway.upstream.openapi.argument_name import unused_argument_name
from gateway.upstream.openapi.declared_values import list_of, object_of, text_of
from gateway.upstream.openapi.document import OpenApiDocument
from gateway.upstream.openapi.operation import (
    LeftOutOperation,
    OpenApiOperation,
    OpenApiOperations,
    OpenApiParameter,
)
from gateway.upstream.openapi.request_body import (
    RequestBody,
    base64_schema,
    concrete_media_type,
    has_properties,
    is_file_body,
    is_file_schema,
    is_json_type,
    preferred_media_type,
    text_schema,
)
from gateway.upstream.openapi.schema_converter import SchemaConverter
from gateway.upstream.openapi.schema_keywords import sound_keywords
from gateway.upstream.openapi.server_address import declared_address
from gateway.upstream.openapi.tool_description import annotate, describe

_NAME_LENGTH = 128
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
# OpenAPI says of these that a parameter of that name is to be ignored; they are the gateway's to set.
_OWN_HEADERS = ("accept", "content-type", "authorization")
# Underscores beside it go with it; a longer run of them is not read again from each.
_NO_NAME = re.compile(r"_{0,8}[^A-Za-z0-9_.-]+_*")
_IN_PATH = re.compile(r"\{([^{}/]+)\}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def build_operations(document: OpenApiDocument, preset: Collection[tuple[str, str]] = ()) -> OpenApiOperations:
    """Every operation that can be a tool, and why each of the others cannot.

    `preset` are parameters that are not the caller's to give, as `(location, name)`, names of headers in lower case.
    """
    found: dict[str, OpenApiOperation] = {}
    left_out: list[LeftOutOperation] = []
    for path, listed in (document.values.get("paths") or {}).items():
        if path.startswith("x-"):
            continue
        try:
            item = object_of(document.dereference(listed), f"the path {path}")
        except InvalidInputError as error:
            left_out.append(LeftOutOperation(path, error.message))
            continue
        for method in _METHODS:
            if item.get(method) is None:
                continue
            operation_id = item[method].get("operationId") if isinstance(item[method], Mapping) else None
            wanted = operation_id if isinstance(operation_id, str) and operation_id else f"{method}_{path}"
            name = _unused_name(wanted, found)
            try:
                found[name] = _OperationReader(document, preset).read(name, method, path, item)
            except InvalidInputError as error:
                left_out.append(LeftOutOperation(name, error.message))
            except RecursionError:
                left_out.append(LeftOutOperation(name, "it is nested too deeply"))
    return OpenApiOperations(found, tuple(left_out))


class _OperationReader:
    """Reads one operation; its arguments get names that do not collide."""

    def __init__(self, document: OpenApiDocument, preset: Collection[tuple[str, str]]) -> None:
        self._document = document
        self._preset = preset
        self._schemas = SchemaConverter(document)
        self._properties: Message = {}
        self._required: list[str] = []
        self._renamed: dict[str, str] = {}
        self._additional: Any = False

    def read(self, name: str, method: str, path: str, item: Message) -> OpenApiOperation:
        """The operation `method` of the path `item`. Raises InvalidInputError with why it cannot be a tool."""
        if not path.startswith("/"):
            raise InvalidInputError("its path does not begin with a slash")
        operation = object_of(item[method], "the operation")
        address = declared_address(operation.get("servers")) or declared_address(item.get("servers"))
        parameters = [self._parameter(declared) for declared in self._declared(path, item, operation)]
        body = self._body(self._document.dereference(operation.get("requestBody")))
        schema: Message = {"type": "object", "properties": self._properties}
        if self._required:
            schema["required"] = self._required
        if self._schemas.definitions:
            schema["$defs"] = self._schemas.definitions
        definition: Message = {"name": name, "inputSchema": {**schema, "additionalProperties": self._additional}}
        if text_of(operation, "summary"):
            definition["title"] = text_of(operation, "summary")
        definition["description"] = describe(method, path, item, operation)
        definition["annotations"] = annotate(method)
        return OpenApiOperation(
            method.upper(),
            # What follows is for the eye: a server never sees it.
            path.partition("#")[0],
            tuple(parameters),
            body,
            frozenset(self._required),
            definition,
            address,
            {name: argument for name, argument in self._renamed.items() if name not in self._properties},
        )

    def _declared(self, path: str, item: Message, operation: Message) -> list[Message]:
        """The parameters of the path, then those of the operation, which go before them."""
        declared: dict[tuple[str, str], Message] = {}
        in_path = _IN_PATH.findall(path)
        for entry in [*list_of(item, "parameters"), *list_of(operation, "parameters")]:
            parameter = object_of(self._document.dereference(entry), "a parameter")
            location, name = parameter.get("in"), parameter.get("name")
            if not isinstance(name, str) or not name:
                raise InvalidInputError("a parameter has no name")
            if location not in ("path", "query", "header", "cookie"):
                raise InvalidInputError(
                    f"the parameter {name} is in {str(location)[:50]}, which OpenAPI 3 does not know"
                )
            if location == "header" and not _HEADER_NAME.fullmatch(name):
                raise InvalidInputError(f"the parameter {name[:100]!r} is not the name of a header")
            # A parameter that the path has no place for has nowhere to go.
            if location == "path" and name not in in_path:
                continue
            known = name.lower() if location == "header" else name
            if (location, known) not in self._preset and (location != "header" or known not in _OWN_HEADERS):
                declared[location, name] = parameter
        for name in in_path:
            declared.setdefault(("path", name), {"in": "path", "name": name, "schema": {"type": "string"}})
        return list(declared.values())

    def _parameter(self, declared: Message) -> OpenApiParameter:
        location, name = declared["in"], declared["name"]
        content = object_of(declared.get("content"), f"the content of the parameter {name}")
        schema = declared.get("schema")
        if content:
            schema = object_of(next(iter(content.values())), f"the content of the parameter {name}").get("schema")
        default = "form" if location in ("query", "cookie") else "simple"
        style = text_of(declared, "style") or default
        explode = declared.get("explode")
        required = location == "path" or declared.get("required") is True
        argument = self._argument(name, f"{name}_{location}", schema, declared, required)
        return OpenApiParameter(
            argument,
            name,
            location,
            style,
            explode if isinstance(explode, bool) else style == "form",
            bool(content),
        )

    def _body(self, declared: Any) -> RequestBody | None:
        declared = object_of(declared, "the request body")
        content = object_of(declared.get("content"), "the content of the request body")
        if not content:
            return None
        media_type = preferred_media_type(content)
        described = object_of(content[media_type], f"the content {media_type}")
        schema = described.get("schema")
        schema = {} if schema is None else schema
        required = declared.get("required") is True
        parts = self._document.dereference(schema)
        if isinstance(parts, Mapping):
            parts = sound_keywords(parts)
        media_type = concrete_media_type(media_type, parts)
        if not has_properties(media_type) or not isinstance(parts, dict) or not _is_plain_object(parts):
            file = not is_json_type(media_type) and is_file_body(media_type, parts)
            shown = base64_schema(parts) if file and isinstance(parts, dict) else schema
            if not file and not has_properties(media_type) and not _is_text(parts):
                shown = text_schema(parts, media_type)
            argument = self._argument("body", "request_body", shown, declared, required)
            entries = is_json_type(media_type) and isinstance(parts, dict) and parts.get("type") == "object"
            files = frozenset([argument] if file else [])
            return RequestBody(media_type, {}, argument, files, takes_more=entries, required=required)
        return self._body_of_properties(media_type, described, parts, required)

    def _body_of_properties(self, media_type: str, described: Message, parts: Message, required: bool) -> RequestBody:
        needed = parts.get("required", ()) if required else ()
        properties: dict[str, str] = {}
        files = set()
        for name, part in parts["properties"].items():
            part = {} if part is None else part
            held = self._document.dereference(part)
            if isinstance(held, dict) and held.get("readOnly") is True:
                continue
            shown = part if is_json_type(media_type) else self._with_files(held, part)
            argument = self._argument(name, f"{name}_body", shown, {}, name in needed)
            properties[argument] = name
            if shown is not part:
                files.add(argument)
        additional = parts.get("additionalProperties", "patternProperties" in parts)
        if additional is not False:
            self._additional = self._schemas.convert(additional)
        encoding = object_of(described.get("encoding"), "the encoding of the request body")
        deep = {
            name for name, said in encoding.items() if isinstance(said, Mapping) and said.get("style") == "deepObject"
        }
        return RequestBody(
            media_type,
            properties,
            None,
            frozenset(files),
            frozenset(deep),
            takes_more=additional is not False,
            required=required,
        )

    def _with_files(self, held: Any, part: Any) -> Any:
        """`part`, unless what it leads to is a file or a list of files: then that, to be given in base64."""
        if is_file_schema(held):
            return base64_schema(held)
        items = self._document.dereference(held.get("items")) if isinstance(held, dict) else None
        return {**held, "items": base64_schema(items)} if isinstance(items, dict) and is_file_schema(items) else part

    def _argument(self, name: str, other: str, schema: Any, declared: Message, required: bool) -> str:
        argument = unused_argument_name(name, other, self._properties)
        try:
            converted = self._schemas.convert({} if schema is None else schema)
        except InvalidInputError as error:
            raise InvalidInputError(f"the argument {name[:100]}: {error.message}") from None
        if not isinstance(converted, dict):
            converted = {} if converted else {"not": {}}
        if text_of(declared, "description") and "description" not in converted:
            converted = {**converted, "description": text_of(declared, "description")}
        if argument not in (name, other):
            self._renamed.setdefault(name, argument)
            told = converted.get("description", "")
            converted = {**converted, "description": f"{told} Sent as `{name}`.".strip()}
        self._properties[argument] = converted
        if required:
            self._required.append(argument)
        return argument


def _is_plain_object(schema: Mapping[str, Any]) -> bool:
    """Whether its properties can be arguments of their own: an object with named ones, or with none at all."""
    if any(word in schema for word in ("allOf", "anyOf", "oneOf", "not", "nullable")):
        return False
    properties = schema.get("properties")
    if properties:
        return isinstance(properties, dict)
    return properties is not None and schema.get("additionalProperties") is False


def _is_text(schema: Any) -> bool:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    return kind == "string" or (isinstance(kind, list) and "string" in kind)


def _unused_name(wanted: str, taken: Mapping[str, object]) -> str:
    base = _NO_NAME.sub("_", wanted).strip("_")[:_NAME_LENGTH] or "operation"
    name, number = base, 2
    while name in taken:
        ending = f"_{number}"
        name, number = base[: _NAME_LENGTH - len(ending)] + ending, number + 1
    return name

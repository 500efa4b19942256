"""The OpenAPI 3.1 description, made from the operations."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from gateway import __version__
from gateway.admin.problem_details import PROBLEM_MEDIA_TYPE, Problem
from gateway.admin.request_guard import CSRF_HEADER, TENANT_PARAMETER
from gateway.admin.request_input import type_adapter
from gateway.admin.rest.operation import API_PREFIX, EVENT_STREAM, Operation
from gateway.admin.session_cookie import SESSION_COOKIE

_REF = "#/components/schemas/{model}"
_SchemaKey = tuple[str, str]


def openapi_document(operations: Sequence[Operation]) -> dict[str, Any]:
    """The document, as JSON values."""
    schemas, definitions = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(API_PREFIX + operation.path, {})[operation.method.lower()] = _operation_object(
            operation, schemas
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ModelGate admin API",
            "version": __version__,
            "description": "Everything that the admin pages do. Sign in for a session, or send an API token. A change "
            f"that comes with a session carries its CSRF token in {CSRF_HEADER}.",
        },
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An admin's API token, mga_…"},
                "session": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
            },
        },
    }


def _schemas(operations: Sequence[Operation]) -> tuple[dict[_SchemaKey, Any], dict[str, Any]]:
    typed: list[tuple[_SchemaKey, JsonSchemaMode, TypeAdapter[Any]]] = [
        (("problem", "problem"), "serialization", type_adapter(Problem))
    ]
    for operation in operations:
        if operation.body is not None:
            typed.append(((operation.name, "body"), "validation", type_adapter(operation.body)))
        if operation.query is not None:
            typed.append(((operation.name, "query"), "validation", type_adapter(operation.query)))
        if operation.returns is not None:
            typed.append(((operation.name, "returns"), "serialization", type_adapter(operation.returns)))
    by_key, shared = TypeAdapter.json_schemas(typed, ref_template=_REF)
    definitions = dict(shared.get("$defs", {}))
    return {key: schema for (key, _), schema in by_key.items()}, definitions


def _operation_object(operation: Operation, schemas: dict[_SchemaKey, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": _parameters(operation, schemas),
        "responses": _responses(operation, schemas),
        "security": [] if operation.public else [{"token": []}, {"session": []}],
    }
    if operation.description:
        described["description"] = operation.description
    if operation.body is not None:
        schema = schemas[operation.name, "body"]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _parameters(operation: Operation, schemas: dict[_SchemaKey, Any]) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    for name, kind in operation.parameters:
        schema = {"type": "string"} if kind is str else {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
        parameters.append({"name": name, "in": "path", "required": True, "schema": schema})
    if operation.query is not None:
        hints = typing.get_type_hints(operation.query, include_extras=True)
        for field in dataclasses.fields(operation.query):
            schema = type_adapter(hints[field.name]).json_schema(ref_template=_REF)
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            field_schema = _without_null(schema)
            parameter = {"name": field.name, "in": "query", "required": required, "schema": field_schema}
            if "description" in field_schema:
                parameter["description"] = field_schema.pop("description")
            parameters.append(parameter)
    if operation.in_tenant:
        parameters.append(
            {
                "name": TENANT_PARAMETER,
                "in": "query",
                "required": False,
                "schema": {"type": "string"},
                "description": "The slug of the tenant; without it default, or the first that you may enter.",
            }
        )
    return parameters


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query string has no null: what may be None may be left out."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in ("anyOf", "title", "default")}
    return {**rest, **choices[0]} if len(choices) == 1 else schema


def _event_schema(schema: Any) -> dict[str, Any]:
    """A server-sent event whose data, a text, is JSON of this schema; that of the last event is an empty object."""
    content = {"anyOf": [schema, {"type": "object", "maxProperties": 0}]}
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": content}
    return {"type": "object", "properties": {"event": {"type": "string"}, "data": data}, "required": ["event", "data"]}


def _responses(operation: Operation, schemas: dict[_SchemaKey, Any]) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if operation.returns is not None:
        schema = schemas[operation.name, "returns"]
        success["content"] = {
            media: {"schema": _event_schema(schema) if media == EVENT_STREAM else schema} for media in operation.media
        }
    problem = {"content": {PROBLEM_MEDIA_TYPE: {"schema": schemas["problem", "problem"]}}}
    statuses = [404, 409, 422, 429, 502, 503, 504] + ([413, 415] if operation.body is not None else [])
    statuses += [401, 403] if not operation.public or operation.body is not None else []
    problems = {str(status): {"description": HTTPStatus(status).phrase, **problem} for status in sorted(statuses)}
    return {str(operation.status): success, **problems}

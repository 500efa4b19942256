"""A tool's input schema as rows of a table, fields of a form, and arguments made of what was typed into them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.errors import FieldProblem, InvalidInputError

InputKind = Literal["text", "integer", "number", "boolean", "choice", "json"]

_MAX_FIELDS = 200
_MAX_CHOICES = 500


@dataclass(frozen=True, slots=True)
class SchemaField:
    """One parameter of a tool. `input_name` is that of its form field, `choices` are JSON texts of what it may be."""

    input_name: str
    name: str
    type: str
    kind: InputKind
    required: bool
    description: str
    default: str
    choices: tuple[str, ...]


def schema_fields(schema: Any) -> list[SchemaField]:
    """The parameters of an input schema in declared order; whatever is not understood is taken as JSON."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return []
    required = schema.get("required")
    needed = set(required) if isinstance(required, list) and all(isinstance(each, str) for each in required) else set()
    return [
        _schema_field(f"argument-{position}", name, part if isinstance(part, dict) else {}, name in needed)
        for position, (name, part) in enumerate(list(properties.items())[:_MAX_FIELDS])
    ]


def parse_arguments(fields: list[SchemaField], submitted: Mapping[str, str]) -> dict[str, Any]:
    """The arguments typed into a form; a field left empty is left out, unless it is a text that is needed.

    Raises InvalidInputError for values that are not of their type.
    """
    arguments: dict[str, Any] = {}
    wrong: list[FieldProblem] = []
    for field in fields:
        text = submitted.get(field.input_name, "")
        if not text and not (field.required and field.kind == "text"):
            continue
        try:
            arguments[field.name] = _parse(field, text)
        except (ValueError, RecursionError):
            words = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
            needed = words.get(field.kind, "JSON")
            wrong.append(FieldProblem(field.input_name, f"{field.name[:80]} has to be {needed}."))
    if wrong:
        raise InvalidInputError.of_fields(wrong)
    return arguments


def _schema_field(input_name: str, name: str, schema: dict[str, Any], required: bool) -> SchemaField:
    choices = schema.get("enum")
    known = choices[:_MAX_CHOICES] if isinstance(choices, list) and choices else []
    description = schema.get("description")
    return SchemaField(
        input_name=input_name,
        name=name,
        type=_type_label(schema),
        kind="choice" if known else _kind(schema),
        required=required,
        description=description if isinstance(description, str) else "",
        default=json.dumps(schema["default"], ensure_ascii=False) if "default" in schema else "",
        choices=tuple(json.dumps(choice, ensure_ascii=False) for choice in known),
    )


def _types(schema: dict[str, Any]) -> list[str]:
    """The names of the types that a value may have, null left out."""
    given = schema.get("type")
    if isinstance(given, str):
        return [given]
    if isinstance(given, list):
        return [each for each in given if isinstance(each, str) and each != "null"]
    for word in ("anyOf", "oneOf"):
        parts = schema.get(word)
        if isinstance(parts, list):
            named = [name for part in parts if isinstance(part, dict) for name in _types(part)]
            return [name for name in dict.fromkeys(named) if name != "null"]
    return []


def _kind(schema: dict[str, Any]) -> InputKind:
    match _types(schema):
        case ["string"]:
            return "text"
        case ["integer"]:
            return "integer"
        case ["number"]:
            return "number"
        case ["boolean"]:
            return "boolean"
        case _:
            return "json"


def _type_label(schema: dict[str, Any]) -> str:
    words = " or ".join(_types(schema)[:4]) or "any"
    items = schema.get("items")
    if words == "array" and isinstance(items, dict) and _types(items):
        words = f"array of {' or '.join(_types(items)[:4])}"
    inner = schema.get("properties")
    if isinstance(inner, dict) and inner:
        words += f" of {', '.join(list(inner)[:8])}"
    return f"{words} ({schema['format']})" if isinstance(schema.get("format"), str) else words


def _parse(field: SchemaField, text: str) -> Any:
    match field.kind:
        case "text":
            return text
        case "integer":
            return int(text)
        case "number":
            return float(text)
        case "boolean":
            return {"true": True, "false": False}[text] if text in ("true", "false") else json.loads("")
        case _:
            return json.loads(text)

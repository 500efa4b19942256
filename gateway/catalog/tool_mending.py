"""Making a listed tool one that every client takes, where that changes nothing of what it means."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.catalog.listed_fields import Json, mend_tool_fields
from gateway.json_pointer import split_pointer

_MAX_DEPTH = 200


def mend_tool(entry: Mapping[str, Any]) -> Json:
    """An entry of a listing without optional fields that are null or of a wrong type, its schemas such as clients read.

    What cannot be mended stays as it is, to be refused. Nothing in `entry` itself is changed.
    """
    tool = mend_tool_fields(entry)
    if isinstance(tool.get("inputSchema"), dict):
        tool["inputSchema"] = _mend_input_schema(tool["inputSchema"])
    if "outputSchema" in tool:
        schema = tool["outputSchema"]
        if isinstance(schema, dict) and schema.get("type") == "object" and _compiles(schema):
            tool["outputSchema"] = _mend_schema(schema)
        else:
            del tool["outputSchema"]
    return tool


def _mend_input_schema(schema: Json) -> Json:
    """The schema of the arguments, which are an object whether it says so or not."""
    kind = schema.get("type")
    if kind is None or (isinstance(kind, list) and "object" in kind):
        schema = {**schema, "type": "object"}
    return _mend_schema(schema)


def _mend_schema(schema: Json) -> Json:
    """A schema whose root is as the protocol has it: subschemas by name, each an object, and a list of names."""
    mended = dict(schema)
    if "properties" in mended:
        properties = mended["properties"]
        mended["properties"] = (
            {name: _mend_property(value) for name, value in properties.items()} if isinstance(properties, dict) else {}
        )
    if "required" in mended:
        names = mended["required"]
        if isinstance(names, list):
            mended["required"] = [name for name in names if isinstance(name, str)]
        else:
            del mended["required"]
    if "$schema" in mended and not isinstance(mended["$schema"], str):
        del mended["$schema"]
    return mended


def _mend_property(schema: object) -> Json:
    if isinstance(schema, dict):
        return schema
    # What is no schema restricts nothing, but for the one that lets nothing through.
    return {"not": {}} if schema is False else {}


def _compiles(schema: Json) -> bool:
    """Whether clients can compile the schema, as some do with every output schema as soon as they read the list."""
    # Only syncs need it, and it takes long to import.
    import jsonschema

    try:
        nullable = {key: value for key, value in schema.items() if key != "properties" or value is not None}
        jsonschema.validators.validator_for(nullable, default=jsonschema.Draft202012Validator).check_schema(nullable)
        return all(_leads_somewhere(schema, reference) for reference in _references(schema))
    except (jsonschema.SchemaError, RecursionError, ValueError, TypeError):
        return False


def _references(schema: Json) -> Iterator[str]:
    open_values: list[tuple[object, int]] = [(schema, 0)]
    while open_values:
        value, depth = open_values.pop()
        if depth > _MAX_DEPTH:
            raise RecursionError
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value["$ref"]
            open_values += [(part, depth + 1) for part in value.values()]
        elif isinstance(value, list):
            open_values += [(part, depth + 1) for part in value]


def _leads_somewhere(schema: Json, reference: str) -> bool:
    """Whether a reference leads to a place in the schema itself; others are never followed."""
    if not reference.startswith("#"):
        return False
    if reference[1:2] not in ("", "/"):
        # An anchor: whether there is one is not worth a search.
        return True
    value: Any = schema
    for step in split_pointer(reference[1:]):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step[:9]) < len(value):
            value = value[int(step[:9])]
        else:
            return False
    return True

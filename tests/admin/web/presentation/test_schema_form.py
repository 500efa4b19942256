"""Forms made of the schemas of tools."""

from __future__ import annotations

import pytest

from gateway.admin.web.presentation.schema_form import parse_arguments, schema_fields
from gateway.errors import InvalidInputError

SCHEMA = {
    "type": "object",
    "required": ["path"],
    "properties": {
        "path": {"type": "string", "description": "Where"},
        "depth": {"type": ["integer", "null"], "default": 3},
        "ratio": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "deep": {"type": "boolean"},
        "mode": {"enum": ["fast", "slow", 1]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "odd": True,
    },
}


def test_a_form_is_made_of_a_schema_and_arguments_of_the_form() -> None:
    parameters = schema_fields(SCHEMA)
    assert [each.kind for each in parameters] == ["text", "integer", "number", "boolean", "choice", "json", "json"]
    sent = {"path": "", "depth": "4", "ratio": "0.5", "deep": "true", "mode": '"slow"', "tags": '["a"]', "odd": ""}
    typed = {parameter.input_name: sent[parameter.name] for parameter in parameters}
    expected = {"path": "", "depth": 4, "ratio": 0.5, "deep": True, "mode": "slow", "tags": ["a"]}
    assert parse_arguments(parameters, typed) == expected
    with pytest.raises(InvalidInputError) as caught:
        parse_arguments(parameters, {**typed, "argument-1": "four", "argument-5": "[", "argument-3": "yes"})
    assert [problem.field for problem in caught.value.problems] == ["argument-1", "argument-3", "argument-5"]


@pytest.mark.parametrize("schema", [None, [], {"properties": []}, {"properties": {"a": None}, "required": 5}])
def test_a_schema_of_any_shape_is_taken(schema: object) -> None:
    assert parse_arguments(schema_fields(schema), {}) == {}

"""What counts as an upstream saying that arguments are wrong."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from gateway.downstream.methods.tools.argument_error import is_argument_error, with_input_schema

SCHEMA = '{"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "required": ["a"]}'


def failed(*texts: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text} for text in texts], "isError": True}


@pytest.mark.parametrize(
    "text",
    [
        "Invalid arguments for tool add: a is missing",
        "MCP error -32602: Input validation error: 'a' is a required property",
        "2 validation errors for addArguments\na\n  Field required",
        "missing 1 required positional argument: 'a'",
        "Unrecognized parameter b",
        "invalid params",
        "'owner' is required",
        "Invalid input: expected string, received undefined",
        "owner\n  Input should be a valid integer, unable to parse string as an integer",
        "missing property owner",
        "owner must be a string",
        "data/owner must NOT have additional properties",
        "Unexpected keyword arg: owner",
        "Unrecognized key(s) in object: 'owner'",
        "7 is not of type 'string'",
        "Validation failed: owner",
        "Invalid arguments for tool get_user: user_id not found",
        '[ZodError] [{"code": "invalid_type", "path": ["a"]}]',
    ],
)
def test_a_result_that_speaks_of_arguments_does(text: str) -> None:
    assert is_argument_error(failed(text))


@pytest.mark.parametrize(
    "result",
    [
        failed("The file is not there."),
        failed("Authentication required"),
        failed("Unknown tool: validation"),
        failed("Tool not found: invalid arguments"),
        failed("invalid params: tool 'add' does not exist"),
        failed("invalid params: the tool named s/add could not be found"),
        failed("TLS certificate validation failed"),
        failed("Login is required"),
        failed("The repository must be public"),
        failed("Fine", "invalid arguments"),
        failed("x" * 2_000 + "invalid arguments"),
        {"content": [{"type": "text", "text": "invalid arguments"}], "isError": False},
        {"content": [{"type": "text", "text": "invalid arguments"}]},
        {"content": "invalid arguments", "isError": True},
        {"content": [{"type": "text", "text": 7}, "invalid arguments"], "isError": True},
        {"isError": True},
    ],
)
def test_any_other_result_does_not(result: dict[str, Any]) -> None:
    assert not is_argument_error(result)


def test_an_error_does_by_its_code() -> None:
    assert is_argument_error(MCPError(code=-32602, message="No."))
    assert not is_argument_error(MCPError(code=-32603, message="invalid arguments"))
    assert not is_argument_error(MCPError(code=-32602, message="Unknown tool: add"))
    assert not is_argument_error(MCPError(code=-32602, message="Tool add not found"))


def test_a_hostile_text_is_read_in_no_time() -> None:
    started = time.process_time()
    for text in ("tool " * 100_000, "required " * 100_000, "p" * 1_000_000):
        is_argument_error(failed(text))
    assert time.process_time() - started < 0.5


def test_the_schema_follows_once_and_nothing_else_changes() -> None:
    result = {**failed("invalid arguments"), "_meta": {"a": 1}}
    mended = with_input_schema(result, "s__add", SCHEMA)
    assert mended["content"][0] == result["content"][0]
    assert json.loads(mended["content"][1]["text"]) == {
        "name": "s__add",
        "inputSchema": {"type": "object", "required": ["a"]},
    }
    assert {**mended, "content": result["content"]} == result
    assert with_input_schema(mended, "other__s__add", SCHEMA) == mended


def test_an_error_becomes_a_result_with_what_was_said_of_it() -> None:
    mended = with_input_schema(MCPError(code=-32602, message="No.", data={"path": ["a"]}), "s__add", SCHEMA)
    assert mended["isError"] is True
    assert [block["type"] for block in mended["content"]] == ["text", "text"]
    assert mended["content"][0]["text"] == 'No.\n{"path":["a"]}'
    large = with_input_schema(MCPError(code=-32602, message="No.", data="x" * 10_000), "s__add", SCHEMA)
    assert large["content"][0]["text"] == "No."

"""What an upstream says where the arguments of a call are wrong, with the schema that they have to fit."""

from __future__ import annotations

import re
from typing import Any

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from gateway.downstream.methods.tools.tool_rendering import compact_schema
from gateway.downstream.tool_result import error_result
from gateway.json_codec import assemble, encode

_READ_CHARACTERS = 2_000
_DATA_CHARACTERS = 4_000
_OF_ARGUMENTS = re.compile(
    r"argument|keyword arg\b|\bparam(?:s\b|eter)|input schema|zoderror"
    r"|validationerror|\d validation errors?\b|\b(?:input|schema|request|json|data|body) validation"
    r"|(?:^|[:\n])\s{0,4}validation (?:error|fail)|invalid input\b|input should be\b"
    r"|expected \w{1,20}, (?:received|got)\b"
    r"|required (?:property|field|key)|field (?:is )?required|['\"`’] is (?:a )?(?:required|missing)"
    r"|(?:missing|unexpected|unknown|unrecogni[sz]ed|additional|extra) (?:property|properties|fields?|inputs?)\b"
    r"|(?:unexpected|unknown|unrecogni[sz]ed) keys?\b"
    r"|(?:must|should|has to) be (?:of type |a valid |an? )?"
    r"(?:string|number|integer|int|float|bool(?:ean)?|array|list|object)\b"
    r"|(?:must|should|has to) be (?:equal to )?one of\b|is not of type\b",
    re.IGNORECASE,
)
# Servers answer with the same code where they do not know the tool.
_OF_THE_TOOL = re.compile(
    r"\btool\b[:\s]{0,3}(?:(?:with |of )?(?:the )?name[: ]{1,2}|named )?(?:['\"`]?[\w./-]{1,256}['\"`]?,?\s)?"
    r"(?:(?:was|is|does|could|has) )?not (?:be |been )?(?:found|exist)"
    r"|(?:unknown|no such) tool|no tool (?:named|called)",
    re.IGNORECASE,
)


def is_argument_error(answer: MCPError | dict[str, Any]) -> bool:
    """Whether the JSON-RPC error or the result of a tool says so, as far as its first words show."""
    if isinstance(answer, MCPError):
        return answer.error.code == INVALID_PARAMS and not _OF_THE_TOOL.search(answer.error.message[:_READ_CHARACTERS])
    content = answer.get("content")
    if answer.get("isError") is not True or not isinstance(content, list):
        return False
    first = next((block for block in content if isinstance(block, dict) and block.get("type") == "text"), {})
    text = first.get("text")
    if not isinstance(text, str):
        return False
    beginning = text[:_READ_CHARACTERS]
    return bool(_OF_ARGUMENTS.search(beginning)) and not _OF_THE_TOOL.search(beginning)


def with_input_schema(answer: MCPError | dict[str, Any], name: str, schema_json: str) -> dict[str, Any]:
    """The same as a result that ends with the schema of the tool `name`; a model reads results, errors not always."""
    result = _as_result(answer) if isinstance(answer, MCPError) else answer
    schema = assemble({"name": name, "inputSchema": compact_schema(schema_json).encode()}).decode()
    block = {"type": "text", "text": schema}
    # What stands behind another gateway has it already.
    if any(isinstance(each, dict) and '"inputSchema":' in str(each.get("text")) for each in result["content"][1:]):
        return result
    return {**result, "content": [*result["content"], block]}


def _as_result(error: MCPError) -> dict[str, Any]:
    text = error.error.message
    if error.error.data is not None:
        data = encode(error.error.data).decode()
        text += f"\n{data}" if len(data) <= _DATA_CHARACTERS else ""
    return error_result(text)

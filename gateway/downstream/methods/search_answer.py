"""The answer of tool_search as the JSON text that a model reads."""

from __future__ import annotations

from typing import Any

from gateway.downstream.methods.tool_arguments import Detail
from gateway.json_codec import assemble
from gateway.search.request import FoundTool, SearchOutcome, SearchRequest

_NOTHING_FOUND = (
    "No tool matches. Describe what the tool should do in other or more general words, one task at a time, or leave "
    "out category and server."
)


def format_search_answer(request: SearchRequest, outcome: SearchOutcome, detail: Detail, *, path_names: bool) -> str:
    """JSON with its keys in the order of the contract.

    What upstreams gave as JSON goes in as it stands: parsing it only to write it again would take most of the time.
    """
    answer: dict[str, Any] = {"queries": request.queries} if request.is_multi_query else {"query": request.queries[0]}
    answer["total_found"] = outcome.total_found
    answer["tools"] = [_format_tool(tool, request, detail, path_names=path_names) for tool in outcome.tools]
    if not outcome.tools:
        answer["message"] = _NOTHING_FOUND
    if outcome.notice:
        answer["notice"] = outcome.notice
    return assemble(answer).decode()


def _format_tool(tool: FoundTool, request: SearchRequest, detail: Detail, *, path_names: bool) -> dict[str, Any]:
    formatted: dict[str, Any] = {
        "name": f"{tool.server}/{tool.name}" if path_names else tool.exposed_name,
        "description": tool.description,
    }
    if tool.title is not None:
        formatted["title"] = tool.title
    if tool.annotations_json is not None:
        formatted["annotations"] = tool.annotations_json.encode()
    if tool.icons_json is not None:
        formatted["icons"] = tool.icons_json.encode()
    if detail == "full":
        formatted["inputSchema"] = tool.input_schema_json.encode()
    match = tool.match
    metadata: dict[str, Any] = {
        "server": tool.server,
        "tool": tool.name,
        "category": tool.category,
        "score": round(match.score, 4),
        "similarity": None if match.similarity is None else round(match.similarity, 4),
    }
    if request.is_multi_query:
        metadata["queries"] = [request.queries[position] for position in match.query_positions]
    formatted["_metadata"] = metadata
    return formatted

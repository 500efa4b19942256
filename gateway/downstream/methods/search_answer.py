"""The answer of tool_search as the JSON text that a model reads."""

from __future__ import annotations

import json

from gateway.downstream.methods.arguments import Detail
from gateway.search.request import FoundTool, SearchOutcome, SearchRequest

_NOTHING_FOUND = (
    "No tool matches. Describe what the tool should do in other or more general words, one task at a time, or leave "
    "out category and server."
)


def search_answer(request: SearchRequest, outcome: SearchOutcome, detail: Detail, *, path_names: bool) -> str:
    """JSON with its keys in the order of the contract.

    What upstreams gave as JSON goes in as it stands: parsing it only to write it again would take most of the time.
    """
    parts = [
        f'"queries": {_json(request.queries)}' if request.several else f'"query": {_json(request.queries[0])}',
        f'"total_found": {outcome.total_found}',
        f'"tools": [{", ".join(_tool(tool, request, detail, path_names) for tool in outcome.tools)}]',
    ]
    if not outcome.tools:
        parts.append(f'"message": {_json(_NOTHING_FOUND)}')
    if outcome.notice:
        parts.append(f'"notice": {_json(outcome.notice)}')
    return "{" + ", ".join(parts) + "}"


def _tool(tool: FoundTool, request: SearchRequest, detail: Detail, path_names: bool) -> str:
    name = f"{tool.server}/{tool.name}" if path_names else tool.exposed_name
    parts = [f'"name": {_json(name)}', f'"description": {_json(tool.description)}']
    if tool.title is not None:
        parts.append(f'"title": {_json(tool.title)}')
    if tool.annotations_json is not None:
        parts.append(f'"annotations": {tool.annotations_json}')
    if tool.icons_json is not None:
        parts.append(f'"icons": {tool.icons_json}')
    if detail == "full":
        parts.append(f'"inputSchema": {tool.input_schema_json}')
    match = tool.match
    metadata: dict[str, object] = {
        "server": tool.server,
        "tool": tool.name,
        "category": tool.category,
        "score": round(match.score, 4),
        "similarity": None if match.similarity is None else round(match.similarity, 4),
    }
    if request.several:
        metadata["queries"] = [request.queries[position] for position in match.queries]
    parts.append(f'"_metadata": {_json(metadata)}')
    return "{" + ", ".join(parts) + "}"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)

"""The text of a search's answer."""

from __future__ import annotations

import json
from dataclasses import replace

from gateway.downstream.methods.search_answer import format_search_answer
from gateway.search.request import FoundTool, Match, SearchOutcome, SearchRequest

SCHEMA = '{"type": "object", "maximum": 123456789012345678901234567890, "default": 1.0, "title": "\\ud800"}'
FOUND = FoundTool(
    match=Match(7, 0.123456, None, (1,)),
    exposed_name="local__add",
    name="add",
    server="Local",
    category="other",
    title=None,
    description='Adds "numbers" – ☃',
    input_schema_json=SCHEMA,
    annotations_json='{"readOnlyHint": true}',
    icons_json=None,
)
ONE = SearchRequest(("add",), 5)
SEVERAL = replace(ONE, queries=("sum", "add"), is_multi_query=True)


def test_what_upstreams_gave_as_json_stands_in_the_answer_as_it_was() -> None:
    text = format_search_answer(
        ONE, SearchOutcome(1, (replace(FOUND, match=Match(7, 0.5, 0.25)),)), "full", path_names=False
    )
    assert f'"inputSchema":{SCHEMA}' in text
    assert "☃" in text
    tool = json.loads(text)["tools"][0]
    assert list(tool) == ["name", "description", "annotations", "inputSchema", "_metadata"]
    assert tool["description"] == FOUND.description


def test_scores_are_rounded_and_a_tool_without_vectors_has_no_similarity() -> None:
    answer = json.loads(format_search_answer(SEVERAL, SearchOutcome(1, (FOUND,)), "brief", path_names=True))
    assert answer == {
        "queries": ["sum", "add"],
        "total_found": 1,
        "tools": [
            {
                "name": "Local/add",
                "description": FOUND.description,
                "annotations": {"readOnlyHint": True},
                "_metadata": {
                    "server": "Local",
                    "tool": "add",
                    "category": "other",
                    "score": 0.1235,
                    "similarity": None,
                    "queries": ["add"],
                },
            }
        ],
    }


def test_an_answer_without_tools_says_what_to_try_and_what_was_not_as_usual() -> None:
    answer = json.loads(format_search_answer(ONE, SearchOutcome(0, notice="By words only."), "full", path_names=False))
    assert list(answer) == ["query", "total_found", "tools", "message", "notice"]
    assert answer["message"].startswith("No tool matches.")
    assert answer["notice"] == "By words only."

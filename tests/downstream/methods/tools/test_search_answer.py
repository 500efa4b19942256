"""The text of a search's answer."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.downstream.methods.tools.search_answer import AnswerFormat, Detail, format_search_answer
from gateway.search.request import FoundTool, Match, SearchOutcome, SearchRequest

SCHEMA = '{"type":"object","maximum":123456789012345678901234567890,"default":1.0,"title":"\\ud800"}'
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
AUTO, FULL, BRIEF = (AnswerFormat(detail, 2_500, path_names=False) for detail in ("auto", "full", "brief"))
NUMBERS = '{"type":"object","properties":{"numbers":{"type":"array","items":{"type":"number"}}},"required":["numbers"]}'


def found(number: int, **changes: Any) -> FoundTool:
    """A tool of which each is like the others."""
    tool = replace(FOUND, match=Match(number, 0.9 - number / 1000, 0.5), exposed_name=f"local__add_{number}")
    return replace(tool, **{"name": f"add_{number}", "input_schema_json": NUMBERS, **changes})


def answer_of(*tools: FoundTool, more: tuple[FoundTool, ...] = (), answer_format: AnswerFormat = AUTO) -> Any:
    return json.loads(format_search_answer(ONE, SearchOutcome(len(tools), tools, more=more), answer_format))


def test_what_upstreams_gave_as_json_stands_in_the_answer_as_it_was() -> None:
    text = format_search_answer(ONE, SearchOutcome(1, (replace(FOUND, match=Match(7, 0.5, 0.25)),)), FULL)
    assert f'"inputSchema":{SCHEMA}' in text
    assert "☃" in text
    tool = json.loads(text)["tools"][0]
    assert list(tool) == ["name", "description", "annotations", "inputSchema", "_metadata"]
    assert tool["description"] == FOUND.description


def test_scores_are_rounded_and_a_tool_without_vectors_has_no_similarity() -> None:
    answer_format = replace(BRIEF, path_names=True)
    answer = json.loads(format_search_answer(SEVERAL, SearchOutcome(1, (FOUND,)), answer_format))
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


@pytest.mark.parametrize("answer_format", [AUTO, FULL, BRIEF])
def test_an_answer_without_tools_says_what_to_try_and_what_was_not_as_usual(answer_format: AnswerFormat) -> None:
    answer = json.loads(format_search_answer(ONE, SearchOutcome(0, notice="By words only."), answer_format))
    assert list(answer) == ["query", "total_found", "tools", "message", "notice"]
    assert answer["message"].startswith("No tool matches.")
    assert answer["notice"] == "By words only."


def test_the_nearest_are_named_where_none_is_good_enough() -> None:
    answer = answer_of(more=(found(1),))
    assert list(answer) == ["query", "total_found", "tools", "more", "message"]
    assert answer["more"] == [
        {
            "name": "local__add_1",
            "summary": FOUND.description,
            "signature": "add_1(numbers: number[])",
            "score": 0.899,
        }
    ]
    assert "`more`" in answer["message"]


def test_the_best_two_are_whole_and_the_others_have_signatures() -> None:
    long = "Adds the numbers of a list. " * 40
    answer = answer_of(*(found(number, description=long, title="Add") for number in range(5)))
    for tool in answer["tools"][:2]:
        assert list(tool) == ["name", "description", "title", "annotations", "inputSchema", "_metadata"]
        assert tool["description"] == long
        assert tool["inputSchema"] == json.loads(NUMBERS)
    for tool in answer["tools"][2:]:
        assert list(tool) == ["name", "description", "title", "annotations", "signature", "_metadata"]
        assert len(tool["description"]) <= 300
        assert tool["description"].endswith("…")


def test_a_description_gives_way_before_a_schema_does() -> None:
    answer = answer_of(found(1, description="Adds numbers. " * 1_000))
    assert answer["tools"][0]["inputSchema"] == json.loads(NUMBERS)
    assert len(answer["tools"][0]["description"]) <= 300


def test_a_schema_that_takes_all_the_room_gives_way_to_a_signature() -> None:
    properties = {f"parameter_{number}": {"type": "string"} for number in range(1_000)}
    schema = json.dumps({"type": "object", "properties": properties})
    answer = answer_of(found(1, input_schema_json=schema), found(2))
    assert [list(tool)[-2] for tool in answer["tools"]] == ["signature", "inputSchema"]


def test_full_has_whole_definitions_whatever_room_they_take() -> None:
    tools = [found(number, description="Adds numbers. " * 200, icons_json="[]") for number in range(10)]
    answer = answer_of(*tools, answer_format=FULL)
    assert len(answer["tools"]) == 10
    for tool in answer["tools"]:
        assert len(tool["description"]) == 2_800
        assert list(tool) == ["name", "description", "annotations", "icons", "inputSchema", "_metadata"]


def test_brief_has_neither_schemas_nor_signatures() -> None:
    for tool in answer_of(*map(found, range(5)), answer_format=BRIEF)["tools"]:
        assert list(tool) == ["name", "description", "annotations", "_metadata"]


@pytest.mark.parametrize("answer_format", [AUTO, BRIEF])
def test_tools_that_find_no_room_have_a_line_in_more(answer_format: AnswerFormat) -> None:
    tools = [found(number, description="Adds the numbers of a list. " * 40) for number in range(50)]
    answer = answer_of(*tools, more=(found(60),), answer_format=answer_format)
    names = [tool["name"] for tool in answer["tools"]] + [line["name"] for line in answer["more"]]
    assert names == [f"local__add_{number}" for number in range(len(names))]
    assert 10 < len(answer["tools"]) < 50
    assert len(answer["more"]) > 2


def test_more_has_short_lines_and_at_most_a_quarter_of_the_room() -> None:
    many = {f"parameter_{number}": {"type": "string"} for number in range(100)}
    schema = json.dumps({"type": "object", "properties": many})
    more = tuple(found(number, description="Adds numbers, " * 100, input_schema_json=schema) for number in range(8))
    lines = answer_of(found(9), more=more)["more"]
    assert len(lines) == 8
    for line in lines:
        assert len(line["summary"]) <= 100
        assert len(line["signature"]) <= 120
    lines = answer_of(found(9), more=more, answer_format=replace(AUTO, tokens=1_000))["more"]
    assert 0 < len(json.dumps(lines)) <= 1_000


def test_an_answer_repeats_long_queries_only_as_far_as_there_is_room() -> None:
    request = replace(SEVERAL, queries=tuple(f"{number} " * 2_000 for number in range(8)))
    tool = replace(FOUND, match=Match(7, 0.5, 0.5, tuple(range(8))))
    text = format_search_answer(request, SearchOutcome(1, (tool,)), AUTO)
    assert len(text) <= 10_000
    answer = json.loads(text)
    assert [query[0] for query in answer["tools"][0]["_metadata"]["queries"]] == list("01234567")
    one = replace(ONE, queries=("word " * 800,))
    assert json.loads(format_search_answer(one, SearchOutcome(0), AUTO))["query"] == one.queries[0]


def test_queries_in_any_script_leave_the_tools_their_room() -> None:
    queries = tuple(f"{number}番目の法令を検索して、結果を翻訳する。" * 100 for number in range(8))
    request = replace(SEVERAL, queries=queries)
    tools = [replace(found(number), match=Match(number, 0.5, 0.5, tuple(range(8)))) for number in range(5)]
    text = format_search_answer(request, SearchOutcome(5, tuple(tools)), AUTO)
    answer = json.loads(text)
    assert len(text.encode()) <= 10_000
    assert len(answer["tools"]) == 5
    for tool in answer["tools"]:
        assert len(set(tool["_metadata"]["queries"])) == 8
    assert all(len(query) > 30 for query in answer["queries"])


def test_queries_that_begin_alike_are_told_apart_where_a_tool_names_them() -> None:
    begin = "read the file of the third quarter and "
    request = replace(SEVERAL, queries=(begin + "send it", begin + "sign it"))
    tool = replace(FOUND, match=Match(7, 0.5, 0.5, (0, 1)))
    (written,) = json.loads(format_search_answer(request, SearchOutcome(1, (tool,)), AUTO))["tools"]
    assert len(set(written["_metadata"]["queries"])) == 2


@pytest.mark.parametrize("detail", ["auto", "brief"])
@pytest.mark.parametrize("character", ["n", "法"])
def test_one_tool_with_the_longest_names_fits_into_the_least_room(detail: Detail, character: str) -> None:
    text = character * 5_000
    tool = found(
        1,
        exposed_name="n" * 256,
        name="n" * 256,
        server="s" * 48,
        title=text,
        description=text,
        match=Match(1, 0.5, 0.5),
    )
    request = replace(ONE, queries=(text[:4_000],))
    outcome = SearchOutcome(1, (tool,), notice="n" * 1_000)
    answer = format_search_answer(request, outcome, AnswerFormat(detail, 500, path_names=False))
    assert len(json.loads(answer)["tools"]) == 1
    assert len(answer.encode()) <= 2_000


TEXTS = st.text(max_size=50) | st.text(max_size=5).map(lambda text: text * 300)
TYPES = st.sampled_from([{"type": "string"}, {"type": "array", "items": {"type": "number"}}, {"enum": ["a", "b"]}, {}])
SCHEMAS = st.builds(
    lambda properties, pad: json.dumps({"type": "object", "properties": properties, "required": [], "title": pad}),
    st.dictionaries(st.text(max_size=30), TYPES, max_size=30),
    TEXTS,
)
TOOLS = st.builds(
    lambda number, title, description, schema, annotations, similarity, path_names: FoundTool(
        match=Match(number, 0.5, similarity),
        exposed_name=f"server__tool_{number}",
        name=f"tool_{number}",
        server="Server",
        category="other",
        title=title,
        description=description,
        input_schema_json=schema,
        annotations_json=annotations,
        icons_json=None,
    ),
    st.integers(0, 10_000),
    st.none() | TEXTS,
    TEXTS,
    SCHEMAS,
    st.none() | TEXTS.map(lambda text: json.dumps({"title": text})),
    st.none() | st.floats(-1, 1),
    st.booleans(),
)


@given(
    tools=st.lists(TOOLS, max_size=20),
    more=st.lists(TOOLS, max_size=8),
    queries=st.lists(TEXTS, min_size=1, max_size=8),
    detail=st.sampled_from(["auto", "full", "brief"]),
    tokens=st.integers(400, 4_000),
    path_names=st.booleans(),
    notice=st.sampled_from(["", "By words only."]),
)
def test_every_answer_is_json_with_usable_tools_within_its_room(
    tools: list[FoundTool],
    more: list[FoundTool],
    queries: list[str],
    detail: Detail,
    tokens: int,
    path_names: bool,
    notice: str,
) -> None:
    request = SearchRequest(tuple(queries), 20, is_multi_query=len(queries) > 1)
    outcome = SearchOutcome(len(tools), tuple(tools), notice, tuple(more))
    text = format_search_answer(request, outcome, AnswerFormat(detail, tokens, path_names))
    answer = json.loads(text)
    order = ["query", "queries", "total_found", "tools", "more", "message", "notice"]
    assert list(answer) == [key for key in order if key in answer]
    assert ("message" in answer) == (not tools)
    assert ("notice" in answer) == bool(notice)
    assert bool(answer["tools"]) == bool(tools)
    assert len(answer.get("more", [])) <= 8
    for tool, wanted in zip(answer["tools"], tools, strict=False):
        assert tool["name"] == (f"Server/{wanted.name}" if path_names else wanted.exposed_name)
        keys = {"auto": {"inputSchema", "signature"}, "full": {"inputSchema"}, "brief": set()}[detail]
        assert len(keys & tool.keys()) == bool(keys)
        fields = ["name", "description", "title", "annotations", "inputSchema", "signature", "_metadata"]
        assert list(tool) == [key for key in fields if key in tool]
    if detail == "full":
        assert len(answer["tools"]) == len(tools)
    else:
        assert len(text) <= tokens * 4

"""tool_search as a client sees it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.components import open_components
from gateway.settings import McpSettings, Settings
from tests.support.gateway import RunningGateway, add_local_mcp, running_gateway
from tests.support.listed import add_listed, tool


async def search(gateway: RunningGateway, **arguments: Any) -> dict[str, Any]:
    result = await gateway.call("tool_search", arguments)
    assert result["isError"] is False
    answer: dict[str, Any] = json.loads(result["content"][0]["text"])
    return answer


async def test_a_plain_post_finds_a_tool_by_meaning(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    answer = await search(gateway, query="calculate math expressions")
    assert [key for key in answer if key != "more"] == ["query", "total_found", "tools"]
    assert answer["total_found"] == len(answer["tools"]) >= 1
    found = answer["tools"][0]
    assert list(found) == ["name", "description", "title", "annotations", "inputSchema", "_metadata"]
    assert found["name"] == "local_mcp__calculator"
    assert list(found["inputSchema"]["properties"]) == ["expression"]
    metadata = found["_metadata"]
    assert list(metadata) == ["server", "tool", "category", "score", "similarity"]
    assert (metadata["server"], metadata["tool"], metadata["category"]) == ("Local MCP", "calculator", "other")
    assert 0.5 <= metadata["score"] <= 1
    assert -1 <= metadata["similarity"] <= 1


async def test_a_tool_without_title_and_annotations_has_none_in_the_answer(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    await add_listed(gateway.parts, tmp_path, tool("calculator", "Perform mathematical calculations"))
    answer = await search(gateway, query="calculator")
    assert list(answer["tools"][0]) == ["name", "description", "inputSchema", "_metadata"]


async def test_nothing_found_has_the_same_shape_and_says_what_to_try(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    answer = await search(gateway, query="zzzz qqqq")
    assert list(answer) == ["query", "total_found", "tools", "more", "message"]
    assert (answer["total_found"], answer["tools"]) == (0, [])
    assert answer["message"].startswith("No tool matches")
    assert 3 <= len(answer["more"]) <= 5
    for line in answer["more"]:
        assert list(line) == ["name", "summary", "signature", "score"]
        assert line["score"] < 0.5


async def test_an_empty_catalogue_is_searched_without_a_fuss(gateway: RunningGateway) -> None:
    answer = await search(gateway, query="anything")
    assert (answer["total_found"], answer["tools"]) == (0, [])
    assert "notice" not in answer


async def test_what_fits_less_well_has_a_line_in_more_and_can_be_called_at_once(
    settings: Settings, tmp_path: Path
) -> None:
    strict = replace(settings, search=replace(settings.search, threshold=1.0))
    async with open_components(strict) as parts, running_gateway(parts) as gateway:
        await add_local_mcp(parts, tmp_path)
        answer = await search(gateway, query="calculate math expressions")
        assert answer["tools"] == []
        nearest = answer["more"][0]
        assert nearest["signature"] == "calculator(expression: string)"
        result = await gateway.call("tool_call", {"name": nearest["name"], "arguments": {"expression": "6 * 7"}})
        assert json.loads(result["content"][0]["text"])["result"] == 42


async def test_a_query_in_another_script_is_told_that_english_finds_more(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    for query in ("数式を計算する", "вычислить выражение"):
        assert "in English" in (await search(gateway, query=query))["notice"]
    for query in ("calculate π", "mathematische Ausdrücke berechnen", "tính toán biểu thức", "1 + 1"):
        assert "notice" not in await search(gateway, query=query)
    for definition in (await gateway.request("tools/list"))["result"]["tools"]:
        assert ("in English" in definition["description"]) == (definition["name"] == "tool_search")


async def test_numbers_given_as_text_are_taken(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    answer = await search(gateway, query="calculate math expressions", max_results="1")
    assert [found["name"] for found in answer["tools"]] == ["local_mcp__calculator"]


async def test_a_deprecated_tool_goes_after_its_living_siblings(gateway: RunningGateway, tmp_path: Path) -> None:
    old = tool("send_message", "Deprecated: send a message to a channel")
    new = tool("send_message_v2", "Send a message to a channel")
    await add_listed(gateway.parts, tmp_path, old, new)
    names = [found["_metadata"]["tool"] for found in (await search(gateway, query="send a message"))["tools"]]
    assert names == ["send_message_v2", "send_message"]
    named = await search(gateway, query="send_message")
    assert named["tools"][0]["_metadata"]["tool"] == "send_message"


async def test_a_task_of_several_steps_is_told_which_query_found_what(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    queries = ["calculate math expressions", "current weather in a city", "arithmetic calculator"]
    answer = await search(gateway, queries=queries)
    assert next(iter(answer)) == "queries"
    found = {each["name"]: each["_metadata"]["queries"] for each in answer["tools"]}
    assert queries[0] in found["local_mcp__calculator"]
    assert queries[2] in found["local_mcp__calculator"]
    assert queries[1] in found["local_mcp__get_weather"]
    assert {name for name, _ in zip(found, range(2), strict=False)} == {
        "local_mcp__calculator",
        "local_mcp__get_weather",
    }
    assert answer["total_found"] == len(found)


async def test_brief_leaves_the_schemas_out(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_local_mcp(gateway.parts, tmp_path)
    answer = await search(gateway, query="calculate math expressions", detail="brief")
    assert "inputSchema" not in answer["tools"][0]
    assert answer["tools"][0]["description"]


async def test_a_search_may_be_narrowed_to_a_server_and_a_category(gateway: RunningGateway, tmp_path: Path) -> None:
    await add_listed(gateway.parts, tmp_path, tool("send_message", "Send a message to a channel"), name="Chat One")
    await add_listed(gateway.parts, tmp_path, tool("send_message", "Send a message to a channel"), name="Chat Two")
    await add_listed(gateway.parts, tmp_path, tool("note", "Write a message into a file on disk"), name="Notes")
    for server in ("Chat Two", "chat_two"):
        answer = await search(gateway, query="send message to channel", server=server)
        assert {each["_metadata"]["server"] for each in answer["tools"]} == {"Chat Two"}
    answer = await search(gateway, query="send message to channel", category="messaging")
    assert {each["_metadata"]["server"] for each in answer["tools"]} == {"Chat One", "Chat Two"}
    assert (await search(gateway, query="send message to channel", category="git"))["total_found"] == 0


async def test_the_tool_that_is_named_comes_first(gateway: RunningGateway, tmp_path: Path) -> None:
    others = [tool(f"list_{n}", f"List, list and list again {n}") for n in range(10)]
    await add_listed(gateway.parts, tmp_path, tool("list", "Nothing that tells"), *others)
    for name in ("list", "listed__list", "Listed/list", "listed/list", "Listed:list", "listed:list"):
        answer = await search(gateway, query=name)
        assert answer["tools"][0]["_metadata"]["tool"] == "list", name


async def test_names_may_be_paths(settings: Settings, tmp_path: Path) -> None:
    async with (
        open_components(replace(settings, mcp=McpSettings(names="path"))) as parts,
        running_gateway(parts) as gateway,
    ):
        await add_local_mcp(parts, tmp_path)
        answer = await search(gateway, query="calculate math expressions")
        assert answer["tools"][0]["name"] == "Local MCP/calculator"
        result = await gateway.call("Local MCP/calculator", {"expression": "6 * 7"})
        assert json.loads(result["content"][0]["text"])["result"] == 42


async def test_its_description_says_what_is_behind_it(gateway: RunningGateway, tmp_path: Path) -> None:
    empty = (await gateway.request("tools/list"))["result"]["tools"][0]["description"]
    assert "0 tools of 0 servers" in empty
    for number in range(12):
        await add_listed(gateway.parts, tmp_path, tool("a"), name=f"{'Long name ' * 8}{number}")
    described = (await gateway.request("tools/list"))["result"]["tools"][0]["description"]
    assert "12 tools of 12 servers" in described
    assert len(described) <= 1000
    assert described.endswith(" more.")

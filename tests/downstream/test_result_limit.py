"""Results that are too large."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult

from gateway.access.tenants import tenant_by_slug
from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.downstream.result_limit import ResultLimit, bounded_error
from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect, text_of
from tests.support.gateway import RunningGateway
from tests.upstream.conftest import raw

LIMIT = 4096


def size(result: object) -> int:
    return len(json.dumps(result, separators=(",", ":"), ensure_ascii=False).encode())


def test_a_result_that_fits_is_untouched() -> None:
    result = {"content": [{"type": "text", "text": "x" * 3000}], "structuredContent": {"n": 1.0}}
    passed = ResultLimit(LIMIT).apply(result)
    assert passed.value is result
    assert json.loads(passed.to_json()) == result


@pytest.mark.parametrize("character", ["x", "é", "😀", '"', "\x01"])
def test_a_long_text_is_cut_and_the_note_says_how_long_it_was(character: str) -> None:
    result = {"content": [{"type": "text", "text": character * 50_000}], "isError": True}
    cut = ResultLimit(LIMIT).apply(result).value
    assert size(cut) <= LIMIT
    assert cut["isError"] is True
    assert cut["content"][0]["text"].startswith(character * 100)
    note = cut["content"][-1]["text"]
    assert "50,000 characters" in note
    assert f"{size(result):,} bytes" in note


def test_what_cannot_be_cut_is_replaced_by_a_note_and_what_fits_stays() -> None:
    result = {
        "content": [
            {"type": "text", "text": "short"},
            {"type": "image", "data": "A" * 20_000, "mimeType": "image/png"},
            {"type": "text", "text": "also short"},
        ],
        "structuredContent": {"rows": ["r" * 1000] * 10},
        "_meta": {"a": 1},
    }
    cut = ResultLimit(LIMIT).apply(result).value
    assert size(cut) <= LIMIT
    assert [block["text"] for block in cut["content"][:2]] == ["short", "also short"]
    note = cut["content"][-1]["text"]
    assert "'image'" in note
    assert "structuredContent" in note
    assert "structuredContent" not in cut


def test_a_large_resource_is_refused_for_a_piece_would_pass_for_the_whole() -> None:
    with pytest.raises(MCPError, match="bytes"):
        ResultLimit(LIMIT).check({"contents": [{"uri": "a:b", "text": "x" * 5000}]})


def test_structured_content_that_fits_stays_whole_beside_a_cut_text() -> None:
    result = {
        "content": [{"type": "text", "text": "x" * 20_000}],
        "structuredContent": {"n": [1] * 100},
        "_meta": {"a": 1},
        "x-vendor": 7,
        "resultType": "complete",
    }
    cut = ResultLimit(LIMIT).apply(result).value
    assert size(cut) <= LIMIT
    assert cut["structuredContent"] == {"n": [1] * 100}
    assert (cut["_meta"], cut["x-vendor"], cut["resultType"]) == ({"a": 1}, 7, "complete")
    assert "isError" not in cut
    assert "structured content is complete" in cut["content"][-1]["text"]


def test_a_result_without_its_structured_content_is_an_error_so_that_no_schema_is_held_against_it() -> None:
    result = {"content": [{"type": "text", "text": "all rows"}], "structuredContent": {"rows": "r" * 9000}}
    cut = ResultLimit(LIMIT).apply(result).value
    assert cut["isError"] is True
    assert cut["content"][0]["text"] == "all rows"
    assert re.search(r"structuredContent of 9,0\d\d bytes", cut["content"][-1]["text"])


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"content": [], "_meta": {"a": "x" * 9000}}, "_meta of 9,0"),
        ({"content": [], "x-vendor\x1b[31m": "x" * 9000}, "x-vendor??31m of 9,0"),
        ({"content": "x" * 9000}, "content of 9,0"),
        ({"content": ["x" * 9000]}, "that is no block"),
        ({"content": [{"type": "\x1b]0;pwned" + "\u202e" * 9000}] * 9}, "a block of type '??0?pwned"),
        (
            {"content": [{"type": "text", "text": "a", "annotations": {"x": "y" * 9000}}]},
            "a text after its first 1 of 1",
        ),
    ],
)
def test_whatever_was_cut_is_named_in_plain_words(result: dict[str, Any], said: str) -> None:
    cut = ResultLimit(LIMIT).apply(result).value
    assert size(cut) <= LIMIT
    assert said in cut["content"][-1]["text"]
    CallToolResult.model_validate(cut)


@pytest.mark.parametrize("maximum", [1024, 4096])
def test_thousands_of_blocks_are_cut_to_those_that_fit(maximum: int) -> None:
    result = {"content": [{"type": "text", "text": f"line {number}"} for number in range(5000)]}
    cut = ResultLimit(maximum).apply(result).value
    assert size(cut) <= maximum
    assert "more" in cut["content"][-1]["text"]


def test_a_short_text_stays_whatever_is_missing_before_it() -> None:
    image = {"type": "image", "data": "A" * 20_000, "mimeType": "image/png"}
    cut = ResultLimit(LIMIT).apply({"content": [*[image] * 7, 1, {"type": "text", "text": "seven rooms"}]}).value
    assert cut["content"][0] == {"type": "text", "text": "seven rooms"}
    assert cut["content"][-1]["text"].count("a block of type 'image' of 20,0") == 5
    assert "; and 3 more" in cut["content"][-1]["text"]


@pytest.mark.parametrize(
    "result_of",
    [
        lambda parts: {"content": [{} for _ in range(parts)]},
        lambda parts: {"content": [{"type": "text", "text": "a"} for _ in range(parts)]},
        lambda parts: {"content": [1] * parts},
        lambda parts: {"content": [1, {}] * (parts // 2)},
        lambda parts: {"content": [{"type": "text", "text": "x" * 1500} for _ in range(parts // 30)]},
        lambda parts: {"content": [], **{f"key{number}": number for number in range(parts)}},
        lambda parts: {"content": [{"type": {f"key{number}": number for number in range(parts)}}] * 3},
    ],
    ids=["empty", "texts", "numbers", "mixed", "pages", "members", "types"],
)
def test_to_cut_a_result_costs_in_proportion_to_its_size(result_of: Callable[[int], dict[str, Any]]) -> None:
    def seconds(parts: int) -> float:
        result = result_of(parts)
        began = time.process_time()
        cut = ResultLimit(LIMIT * 64).apply(result).value
        took = time.process_time() - began
        assert size(cut) <= LIMIT * 64
        return took

    # Eight times as much: what grew with the square would take sixty-four times as long.
    few, many = (min(seconds(parts) for _ in range(3)) for parts in (40_000, 320_000))
    assert many < 24 * max(few, 0.005)


def test_a_question_that_is_too_large_is_a_tool_error() -> None:
    question = {"method": "elicitation/create", "params": {"message": "?" * 9000}}
    result = {"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "s"}
    told = ResultLimit(LIMIT).apply(result).value
    assert told["isError"] is True
    assert told["resultType"] == "complete"
    assert "inputRequests" not in told
    assert "input_required of 9," in told["content"][0]["text"]


def test_a_large_error_keeps_its_code_and_says_what_it_lost() -> None:
    small = bounded_error(-31999, "not today", {"retry": [7]})
    assert (small.error.code, small.error.message, small.error.data) == (-31999, "not today", {"retry": [7]})
    assert bounded_error(-31999, "not today").error.data is None
    large = bounded_error(-31999, "not today", {"dump": "x" * 200_000}).error
    assert (large.code, large.message) == (-31999, "not today")
    assert "200,0" in large.data["cut"]
    long = bounded_error(-31999, "é" * 200_000, [1]).error
    assert len(long.message.encode()) < 64 * 1024
    assert "200,000 characters" in long.message


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_what_is_too_large_or_too_deep_is_told_to_clients_as_what_it_is(
    gateway: RunningGateway, connect: Connect, mode: str
) -> None:
    tenant = await tenant_by_slug(gateway.parts.database)
    spec = raw("modern")
    new = ServerDefinition("Raw", "stdio", command=spec.command, args=(*spec.args, "lists-all"))
    await gateway.parts.sync.run(tenant.id, await gateway.parts.servers.add(tenant.id, new))
    async with connect(mode) as client:
        if mode == MODERN:
            asked = await client.call_tool("raw__large_question", {})
            assert asked.is_error
            assert "input_required" in text_of(asked)
        with pytest.raises(MCPError, match="not today") as refused:
            await client.call_tool("raw__large_error", {})
        assert refused.value.error.code == -31999
        nested = await client.call_tool("raw__nested", {})
        assert nested.is_error
        assert "not MCP" in text_of(nested)


async def test_a_caller_is_told_what_was_cut(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker()
    whole = await gateway.call("talker__big", {"characters": 300_000})
    assert len(whole["content"][0]["text"]) == 300_000
    cut = await gateway.call("talker__big", {"characters": 900_000})
    assert size(cut) <= 1024 * 1024
    assert "900,000 characters" in cut["content"][-1]["text"]
    assert len(cut["content"][0]["text"]) > 400_000
    assert cut["structuredContent"] == {"a": 1}


def picture(size: int, kind: str = "image") -> dict[str, Any]:
    if kind == "resource":
        return {"type": "resource", "resource": {"uri": "a:b", "mimeType": "image/png", "blob": "A" * size}}
    return {"type": kind, "data": "A" * size, "mimeType": "image/png"}


@pytest.mark.parametrize("kind", ["image", "audio", "resource"])
def test_pictures_and_the_like_may_take_more_than_texts(kind: str) -> None:
    limit = ResultLimit(LIMIT, 4 * LIMIT)
    result = {"content": [{"type": "text", "text": "two"}, picture(1500 * 4, kind), picture(1500 * 4, kind)]}
    assert limit.apply(result).value is result
    once_more = {"content": [picture(5000, kind)], "structuredContent": {"picture": "A" * 5000}}
    assert limit.apply(once_more).value is once_more


def test_texts_beside_a_picture_have_no_more_room_than_without() -> None:
    result = {"content": [picture(6000), {"type": "text", "text": "x" * 6000}]}
    cut = ResultLimit(LIMIT, 4 * LIMIT).apply(result).value
    assert cut["content"][0] == picture(6000)
    assert len(cut["content"][1]["text"]) < LIMIT
    assert "a text after its first" in cut["content"][-1]["text"]


def test_pictures_beyond_their_room_are_left_out_and_the_others_stay() -> None:
    result = {"content": [picture(6000), picture(9000), picture(3000)]}
    cut = ResultLimit(LIMIT, 3 * LIMIT).apply(result).value
    assert cut["content"][:-1] == [picture(6000), picture(3000)]
    assert size(cut) <= 3 * LIMIT
    assert "'image' of 9,0" in cut["content"][-1]["text"]


def test_a_resource_that_is_a_file_may_be_larger_than_one_that_is_a_text() -> None:
    limit = ResultLimit(LIMIT, 4 * LIMIT)
    assert limit.check({"contents": [{"uri": "a:b", "blob": "A" * 9000}]})
    with pytest.raises(MCPError, match="bytes"):
        limit.check({"contents": [{"uri": "a:b", "text": "A" * 9000}]})

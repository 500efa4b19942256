"""Results that are too large."""

from __future__ import annotations

import json

import pytest
from mcp.shared.exceptions import MCPError

from gateway.downstream.limit import ResultLimit
from tests.downstream.conftest import AddTalker
from tests.support.gateway import RunningGateway

LIMIT = 4096


def size(result: object) -> int:
    return len(json.dumps(result, separators=(",", ":"), ensure_ascii=False).encode())


def test_a_result_that_fits_is_untouched() -> None:
    result = {"content": [{"type": "text", "text": "x" * 3000}], "structuredContent": {"n": 1.0}}
    passed = ResultLimit(LIMIT).apply(result)
    assert passed.value is result
    assert json.loads(passed.text) == result


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


async def test_a_caller_is_told_what_was_cut(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker()
    whole = await gateway.call("talker__big", {"characters": 300_000})
    assert len(whole["content"][0]["text"]) == 300_000
    cut = await gateway.call("talker__big", {"characters": 900_000})
    assert size(cut) <= 1024 * 1024
    assert "900,000 characters" in cut["content"][-1]["text"]
    assert len(cut["content"][0]["text"]) > 400_000

"""Odd tools and odd results of a server, as strict clients see them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.downstream.conftest import HANDSHAKE, MODERN, Connect
from tests.support.gateway import RunningGateway
from tests.support.listed import add_listed, tool

ODD = json.loads((Path(__file__).parents[2] / "cases" / "tools-odd.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_every_tool_that_can_be_mended_is_listed_to_strict_clients(
    gateway: RunningGateway, listing_key: str, connect: Connect, tmp_path: Path, mode: str
) -> None:
    await add_listed(gateway.parts, tmp_path, *ODD)
    async with connect(mode, listing_key) as client:
        listed = (await client.list_tools()).tools
    assert len(listed) == len(ODD) - 3 + 2
    assert all(each.input_schema["type"] == "object" for each in listed)


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ({"structuredContent": {"a": 1}}, []),
        ({"structuredContent": {"a": 1}, "content": None}, []),
        ({"isError": True}, []),
        ({"content": "all well"}, [{"type": "text", "text": "all well"}]),
        ({"content": {"type": "text", "text": "all well"}}, [{"type": "text", "text": "all well"}]),
        (
            {"content": [None, "a", {"text": "b"}, {"type": "text", "text": 5}], "isError": "false", "_meta": None},
            [
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b"},
                {"type": "text", "text": '{"type":"text","text":5}'},
            ],
        ),
        ({"structuredContent": {"a": 1}, "content": [{"type": "text", "text": "t"}]}, [{"type": "text", "text": "t"}]),
    ],
)
@pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])
async def test_a_result_has_content_that_strict_clients_read(
    gateway: RunningGateway, connect: Connect, tmp_path: Path, mode: str, result: dict[str, Any], content: list[Any]
) -> None:
    await add_listed(gateway.parts, tmp_path, tool("odd"), result=result)
    assert (await gateway.call("listed__odd"))["content"] == content
    async with connect(mode) as client:
        called = await client.call_tool("listed__odd", {})
    assert [block.model_dump(exclude_none=True) for block in called.content] == content
    assert called.structured_content == result.get("structuredContent")

"""Texts of results that were too large, read on in part by part."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

import pytest

from gateway.access.caller import Caller
from gateway.access.roles import create_role
from gateway.downstream.methods.kept_results import KeptResults
from gateway.errors import ModelGateError
from tests.downstream.conftest import AddTalker
from tests.support.gateway import RunningGateway

CHARACTERS = 1_300_000


async def cut(gateway: RunningGateway, name: str, **headers: str) -> tuple[str, dict[str, Any]]:
    """The text of a result that was cut, and the arguments with which it is read on in."""
    params = {"name": name, "arguments": {"characters": CHARACTERS}}
    result = (await gateway.request("tools/call", params, **headers))["result"]
    note = result["content"][-1]["text"]
    found = re.search(r"read on with read_result, arguments (\{.*\})", note)
    assert found is not None
    return result["content"][0]["text"], json.loads(found[1])


async def listed(gateway: RunningGateway, **headers: str) -> list[str]:
    return [tool["name"] for tool in (await gateway.request("tools/list", **headers))["result"]["tools"]]


async def keeper(gateway: RunningGateway, kept: dict[str, Any]) -> tuple[KeptResults, Caller, int]:
    """Where texts are kept, who the key of the gateway is, and the tool of the text `kept`."""
    results = KeptResults(gateway.parts.database)
    caller = await gateway.parts.caller_authenticator.authenticate(gateway.key, None)
    part = await results.read(caller, uuid.UUID(kept["id"]), 0, 1)
    assert part is not None
    return results, caller, part.tool_id


@pytest.mark.parametrize("through", ["by its name", "tool_call"])
async def test_a_cut_text_is_read_on_to_its_end(gateway: RunningGateway, add_talker: AddTalker, through: str) -> None:
    talker = await add_talker()
    text, arguments = await cut(gateway, f"{talker.slug}__big")
    assert arguments["offset"] == len(text)
    while True:
        if through == "tool_call":
            result = await gateway.call("tool_call", {"name": "read_result", "arguments": arguments})
        else:
            result = await gateway.call("read_result", arguments)
        piece, where = (block["text"] for block in result["content"])
        text += piece
        if "this is the end" in where:
            break
        arguments["offset"] = int(re.findall(r"read on with offset (\d+)", where)[0])
    assert text == "é" * CHARACTERS


async def test_it_is_listed_only_to_whom_a_result_was_cut(gateway: RunningGateway, add_talker: AddTalker) -> None:
    talker = await add_talker()
    other = (await gateway.parts.keys.create(1, "other", ["all"])).key
    assert "read_result" not in await listed(gateway)
    await cut(gateway, f"{talker.slug}__big")
    assert (await listed(gateway)).count("read_result") == 1
    assert "read_result" not in await listed(gateway, **{"X-API-Key": other})


async def test_nobody_else_reads_it(gateway: RunningGateway, add_talker: AddTalker) -> None:
    talker = await add_talker()
    _, arguments = await cut(gateway, f"{talker.slug}__big")
    other = (await gateway.parts.keys.create(1, "other", ["all"])).key
    params = {"name": "read_result", "arguments": arguments}
    answer = await gateway.request("tools/call", params, **{"X-API-Key": other})
    assert answer["result"]["isError"] is True
    assert "no such result" in answer["result"]["content"][0]["text"]


async def test_who_may_not_call_the_tool_any_more_does_not_read_on(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    talker = await add_talker()
    await create_role(gateway.parts.database, 1, "some", "ALLOW")
    key = {"X-API-Key": (await gateway.parts.keys.create(1, "some", ["some"])).key}
    _, arguments = await cut(gateway, f"{talker.slug}__big", **key)
    await gateway.parts.servers.set_enabled(1, talker.id, False)
    answer = await gateway.request("tools/call", {"name": "read_result", "arguments": arguments}, **key)
    assert answer["result"]["isError"] is True


NONE = "00000000-0000-0000-0000-000000000000"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "id has to be"),
        ({"id": "x"}, "id has to be"),
        ({"id": NONE}, "no such result"),
        ({"id": NONE, "offset": -1}, "offset has to be"),
        ({"id": NONE, "offset": 2**40}, "offset has to be"),
        ({"id": NONE, "offset": "5"}, "offset has to be"),
    ],
)
async def test_arguments_that_cannot_be_are_told(gateway: RunningGateway, arguments: Any, told: str) -> None:
    result = await gateway.call("read_result", arguments)
    assert result["isError"] is True
    assert told in result["content"][0]["text"]


async def test_a_tenant_keeps_its_newest_texts_within_its_room(gateway: RunningGateway, add_talker: AddTalker) -> None:
    talker = await add_talker()
    _, oldest = await cut(gateway, f"{talker.slug}__big")
    kept, caller, tool_id = await keeper(gateway, oldest)
    newest = [uuid.uuid4() for _ in range(4)]
    for result_id in newest:
        await kept.keep(caller, tool_id, result_id, "x" * (16 * 1024 * 1024 - 1000))
    assert await kept.read(caller, uuid.UUID(oldest["id"]), 0, 10) is None
    assert all([await kept.read(caller, result_id, 0, 10) for result_id in newest])


async def test_any_text_is_kept_and_none_of_a_tool_that_is_not_there(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    talker = await add_talker()
    _, arguments = await cut(gateway, f"{talker.slug}__big")
    kept, caller, tool_id = await keeper(gateway, arguments)
    result_id = uuid.uuid4()
    await kept.keep(caller, tool_id, result_id, "a\x00b\ud800c")
    part = await kept.read(caller, result_id, 1, 10)
    assert part is not None
    assert (part.text, part.characters) == ("\ufffdb?c", 5)
    with pytest.raises(ModelGateError):
        await kept.keep(caller, 999_999, uuid.uuid4(), "of no tool")

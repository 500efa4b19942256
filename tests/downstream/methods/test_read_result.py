"""Texts of results that were too large, read on in part by part."""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.access.caller import Caller
from gateway.access.roles import create_role
from gateway.downstream.methods.result_store import ResultStore, StoredPart
from gateway.errors import ModelGateError
from gateway.upstream.spec import ServerSpec
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


@dataclass(frozen=True, slots=True)
class Keeper:
    """Where texts are kept of a tool and its server, for the key of the gateway."""

    results: ResultStore
    caller: Caller
    spec: ServerSpec
    tool_id: int

    async def keep(self, result_id: uuid.UUID, text: str, tool_id: int | None = None) -> None:
        await self.results.store(self.caller, self.spec, tool_id or self.tool_id, result_id, text)

    async def read(self, result_id: uuid.UUID, offset: int) -> StoredPart | None:
        return await self.results.read(1, result_id, offset, 10)


async def keeper(gateway: RunningGateway, server_id: int, kept: dict[str, Any]) -> Keeper:
    """That of the tool of the text `kept`."""
    parts = gateway.parts
    results = ResultStore(parts.database)
    caller = await parts.caller_authenticator.authenticate(gateway.key, None)
    part = await results.read(1, uuid.UUID(kept["id"]), 0, 1)
    assert part is not None
    return Keeper(results, caller, await parts.servers.spec(1, server_id), part.tool_id)


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
    kept = await keeper(gateway, talker.id, oldest)
    newest = [uuid.uuid4() for _ in range(4)]
    for result_id in newest:
        await kept.keep(result_id, "x" * (16 * 1024 * 1024 - 1000))
    assert await kept.read(uuid.UUID(oldest["id"]), 0) is None
    assert all([await kept.read(result_id, 0) for result_id in newest])


async def test_any_text_is_kept_and_none_of_a_tool_that_is_not_there(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    talker = await add_talker()
    _, arguments = await cut(gateway, f"{talker.slug}__big")
    kept = await keeper(gateway, talker.id, arguments)
    result_id = uuid.uuid4()
    await kept.keep(result_id, "a\x00b\ud800c")
    part = await kept.read(result_id, 1)
    assert part is not None
    assert (part.text, part.characters) == ("\ufffdb?c", 5)
    with pytest.raises(ModelGateError):
        await kept.keep(uuid.uuid4(), "of no tool", 999_999)

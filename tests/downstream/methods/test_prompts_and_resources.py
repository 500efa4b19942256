"""Prompts, resources and completion of upstream servers, as clients reach them through the gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference

from gateway.access.roles import create_role
from gateway.access.rules import set_rule
from tests.downstream.conftest import HANDSHAKE, MODERN, AddTalker, Connect, text_of
from tests.support.gateway import RunningGateway

CLIENTS = pytest.mark.parametrize("mode", [HANDSHAKE, MODERN])


@CLIENTS
async def test_prompts_of_several_servers_are_told_apart_and_fetched(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker("North", "handshake")
    await add_talker("South", "modern")
    async with connect(mode) as client:
        names = [prompt.name for prompt in (await client.list_prompts()).prompts]
        assert names == ["north__greet", "south__greet"]
        got = await client.get_prompt("south__greet", {"who": "Ada"})
        assert text_of(got) == "South greets {'who': 'Ada'}"
        with pytest.raises(MCPError) as refused:
            await client.get_prompt("south__nothing")
        assert refused.value.error.code == -32602


@CLIENTS
async def test_every_resource_that_is_listed_can_be_read_from_the_server_that_has_it(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker("North", "handshake")
    await add_talker("South", "modern")
    async with connect(mode) as client:
        uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert uris[:2] == ["file:///shared.txt", "note://North/a b"]
        assert len(set(uris)) == 4
        read = {}
        for uri in uris:
            found = await client.read_resource(uri)
            assert str(found.contents[0].uri) == uri
            read[uri] = text_of(found)
        assert read["file:///shared.txt"] == "North has file:///shared.txt"
        assert sorted(text.split()[0] for text in read.values()) == ["North", "North", "South", "South"]
        other = next(uri for uri in uris if "south" in uri and "shared" in uri)
        assert read[other] == "South has file:///shared.txt"


@CLIENTS
async def test_a_template_leads_to_its_server(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker("North", "handshake")
    await add_talker("South", "modern")
    async with connect(mode) as client:
        templates = [item.uri_template for item in (await client.list_resource_templates()).resource_templates]
        assert templates == ["item://North/{id}", "item://South/{id}"]
        assert text_of(await client.read_resource("item://South/7")) == "South has item://South/7"


@CLIENTS
@pytest.mark.parametrize("uri", ["note://North/not listed", "item://North/7", "file:///not-listed.txt"])
async def test_a_template_for_everything_takes_over_no_address_of_another_server(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str, uri: str
) -> None:
    await add_talker("Any", "modern", env={"GREEDY": "1"})
    await add_talker("North", "handshake")
    async with connect(mode) as client:
        assert text_of(await client.read_resource(uri)) == f"North has {uri}"
        with pytest.raises(MCPError):
            await client.read_resource("other://somewhere/else")


@CLIENTS
async def test_a_resource_that_nobody_has_is_an_invalid_parameter_with_its_address(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker()
    async with connect(mode) as client:
        for uri in ("nowhere://x", "item://Talker/missing", "modelgate://nobody/x", "ui://modelgate/nobody/x"):
            with pytest.raises(MCPError) as refused:
                await client.read_resource(uri)
            assert refused.value.error.code == -32602
            assert refused.value.error.data == {"uri": uri}


@CLIENTS
async def test_arguments_are_completed_by_the_server_of_the_reference(
    gateway: RunningGateway, add_talker: AddTalker, connect: Connect, mode: str
) -> None:
    await add_talker("North", "handshake")
    await add_talker("South", "modern")
    params: dict[str, Any] = {"argument": {"name": "who", "value": "A"}}
    async with connect(mode) as client:
        done = await client.complete(PromptReference(name="south__greet"), params["argument"])
        assert done.completion.values[0] == "South"
        assert json.loads(done.completion.values[1])["name"] == "greet"
        done = await client.complete(ResourceTemplateReference(uri="item://North/{id}"), params["argument"])
        assert done.completion.values[0] == "North"


async def test_a_role_reaches_prompts_and_resources_only_of_servers_that_it_may_use(
    gateway: RunningGateway, add_talker: AddTalker, tenant_id: int
) -> None:
    north, south = await add_talker("North"), await add_talker("South")
    role = await create_role(gateway.parts.database, tenant_id, "narrow", "DENY")
    await set_rule(gateway.parts.database, tenant_id, role.id, "SEARCH", server_id=north.id)
    key = {"X-API-Key": (await gateway.parts.keys.create(tenant_id, "narrow", ["narrow"])).key}
    prompts = (await gateway.request("prompts/list", **key))["result"]["prompts"]
    assert [prompt["name"] for prompt in prompts] == ["north__greet"]
    resources = (await gateway.request("resources/list", **key))["result"]["resources"]
    assert [resource["uri"] for resource in resources] == ["file:///shared.txt", "note://North/a b"]
    for uri in ("note://South/a b", "item://South/1", "modelgate://south/note%3A%2F%2FSouth%2Fa%20b"):
        answer = await gateway.request("resources/read", {"uri": uri}, **key)
        assert answer["error"]["code"] == -32602
    assert "error" in await gateway.request("prompts/get", {"name": "south__greet"}, **key)
    await set_rule(gateway.parts.database, tenant_id, role.id, "ALLOW", server_id=south.id)
    prompts = (await gateway.request("prompts/list", **key))["result"]["prompts"]
    assert [prompt["name"] for prompt in prompts] == ["north__greet", "south__greet"]


async def test_a_server_that_is_down_is_left_out_of_lists_and_holds_up_no_other(
    gateway: RunningGateway, add_talker: AddTalker
) -> None:
    await add_talker("North")
    south = await add_talker("South")
    await gateway.call("south__die")
    spec = await gateway.parts.servers.spec(1, south.id)
    await gateway.parts.pool.close_server(south.id)
    assert spec.command is not None
    prompts = (await gateway.request("prompts/list"))["result"]["prompts"]
    assert "north__greet" in [prompt["name"] for prompt in prompts]


async def test_an_app_leads_to_the_resource_of_its_own_server(
    gateway: RunningGateway, add_talker: AddTalker, listing_key: str
) -> None:
    await add_talker("North")
    await add_talker("South")
    key = {"X-API-Key": listing_key}
    tools = {tool["name"]: tool for tool in (await gateway.request("tools/list", **key))["result"]["tools"]}
    first, second = tools["north__app"], tools["south__app"]
    assert first["_meta"] == {"ui": {"resourceUri": "ui://app/main.html"}}
    assert (first["title"], first["annotations"]) == ("An App", {"readOnlyHint": True})
    assert first["icons"] == [{"src": "data:image/png;base64,aGk="}]
    for tool, label in ((first, "North"), (second, "South")):
        uri = tool["_meta"]["ui"]["resourceUri"]
        assert uri.startswith("ui://")
        contents = (await gateway.request("resources/read", {"uri": uri}, **key))["result"]["contents"]
        assert contents == [{"uri": uri, "text": f"{label} has ui://app/main.html"}]


async def test_a_found_app_has_its_title_icons_and_annotations(gateway: RunningGateway, add_talker: AddTalker) -> None:
    await add_talker()
    answer = json.loads(
        (await gateway.call("tool_search", {"query": "talker__app", "detail": "full"}))["content"][0]["text"]
    )
    found = answer["tools"][0]
    assert found["name"] == "talker__app"
    assert (found["title"], found["annotations"]) == ("An App", {"readOnlyHint": True})
    assert found["icons"] == [{"src": "data:image/png;base64,aGk="}]

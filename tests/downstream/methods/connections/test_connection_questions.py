"""A call that lacks its person's credential asks for it, and succeeds once they have connected the server."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp_types import URL_ELICITATION_REQUIRED, ElicitRequestURLParams, ElicitResult

from gateway.catalog.servers.server_definition import ServerDefinition
from gateway.upstream.credentials.credential import ClientCredentials
from gateway.upstream.credentials.delegation import PersonalOAuth
from gateway.upstream.credentials.personal import PersonalSecret
from tests.access.connections.conftest import PersonalWorld, add_personal_server
from tests.doubles.oauth_server import OAuthServer
from tests.doubles.personal_server import PersonalServer
from tests.support.gateway import RunningGateway

CALL = {"name": "tracker__whoami", "arguments": {}}


@pytest.fixture
async def world(gateway: RunningGateway) -> AsyncIterator[PersonalWorld]:
    async with PersonalServer().running() as server:
        yield await add_personal_server(gateway, server, PersonalSecret())


async def connect_by(url: str, key: str, token: str) -> httpx2.Response:
    """What a person does in a browser, for a key that nobody owns."""
    async with httpx2.AsyncClient(follow_redirects=True) as browser:
        page = await browser.get(url)
        assert "Connect" in page.text
        assert token not in page.text
        answer: httpx2.Response = await browser.post(url, data={"key": key, "secret": token})
        return answer


async def test_a_modern_sdk_client_is_asked_with_a_link_and_the_call_goes_on(world: PersonalWorld) -> None:
    ann = await world.add_somebody("ann")
    world.server.persons["token-of-ann"] = "ann"
    asked: list[Any] = []

    async def elicit(context: Any, params: Any) -> ElicitResult:
        asked.append(params)
        assert isinstance(params, ElicitRequestURLParams)
        page = await connect_by(params.url, ann.key, "token-of-ann")
        assert "You are connected" in page.text
        return ElicitResult(action="accept")

    headers = {"Authorization": f"Bearer {ann.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(world.gateway.mcp, http_client=http)
        async with Client(transport, mode="auto", cache=None, elicitation_callback=elicit) as client:
            result = await client.call_tool("tracker__whoami", {})
            assert result.content[0].text == "whoami as ann"  # type: ignore[union-attr]
            again = await client.call_tool("tracker__whoami", {})
            assert again.content[0].text == "whoami as ann"  # type: ignore[union-attr]
    assert len(asked) == 1
    assert asked[0].url.startswith(world.gateway.url)
    # What was an answer to the gateway is no server's concern.
    assert world.server.calls_of("token-of-ann") == 2


async def test_a_handshake_sdk_client_gets_the_error_hears_when_it_is_done_and_calls_again(
    world: PersonalWorld,
) -> None:
    ann = await world.add_somebody("ann")
    world.server.persons["token-of-ann"] = "ann"
    completed: list[str] = []
    heard = anyio.Event()

    async def elicit(context: Any, params: Any) -> ElicitResult:
        raise AssertionError("it is told by the error")

    async def handle(message: Any) -> None:
        if getattr(message, "method", "") == "notifications/elicitation/complete":
            completed.append(message.params.elicitation_id)
            heard.set()

    headers = {"Authorization": f"Bearer {ann.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(world.gateway.mcp, http_client=http)
        async with Client(
            transport, mode="legacy", cache=None, elicitation_callback=elicit, message_handler=handle
        ) as client:
            with pytest.raises(MCPError) as refused:
                await client.call_tool("tracker__whoami", {})
            assert refused.value.code == URL_ELICITATION_REQUIRED
            elicitation = refused.value.error.data["elicitations"][0]
            assert elicitation["mode"] == "url"
            await connect_by(elicitation["url"], ann.key, "token-of-ann")
            with anyio.fail_after(10):
                await heard.wait()
            assert completed == [elicitation["elicitationId"]]
            result = await client.call_tool("tracker__whoami", {})
            assert result.content[0].text == "whoami as ann"  # type: ignore[union-attr]


async def test_any_other_client_gets_one_sentence_with_the_link(world: PersonalWorld) -> None:
    ann = await world.add_somebody("ann")
    world.server.persons["token-of-ann"] = "ann"
    said = await world.says(ann)
    links = re.findall(r"http://\S+", said)
    assert len(links) == 1
    assert "repeat the call" in said
    # Asked again and again, it is the same link, not one more each time.
    assert links[0] in await world.says(ann)
    await connect_by(links[0], ann.key, "token-of-ann")
    assert await world.says(ann) == "whoami as ann"


async def test_a_link_works_once_and_only_with_the_key_that_it_was_made_for(world: PersonalWorld) -> None:
    ann, ben = await world.add_somebody("ann"), await world.add_somebody("ben")
    world.server.persons |= {"token-of-ann": "ann", "token-of-ben": "ben"}
    link = re.findall(r"http://\S+", await world.says(ann))[0]
    stolen = await connect_by(link, ben.key, "token-of-ben")
    assert (stolen.status_code, "another key than the one" in stolen.text) == (422, True)
    refused = await connect_by(link, ann.key, "no-such-token")
    assert (refused.status_code, "refuses it" in refused.text) == (422, True)
    assert "no-such-token" not in refused.text
    assert (await connect_by(link, ann.key, "token-of-ann")).status_code == 200
    async with httpx2.AsyncClient() as browser:
        late = await browser.get(link)
        assert (late.status_code, "has been used" in late.text) == (404, True)
        late = await browser.post(link, data={"key": ann.key, "secret": "token-of-ben"})
        assert late.status_code == 404
    assert await world.says(ann) == "whoami as ann"
    assert "You have not connected Tracker" in await world.says(ben)


async def test_who_does_not_want_to_connect_is_told_what_that_means(world: PersonalWorld) -> None:
    ann = await world.add_somebody("ann")

    async def elicit(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="decline")

    headers = {"Authorization": f"Bearer {ann.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(world.gateway.mcp, http_client=http)
        async with Client(transport, mode="auto", cache=None, elicitation_callback=elicit) as client:
            result = await client.call_tool("tracker__whoami", {})
    assert result.is_error
    assert "You chose not to connect Tracker" in result.content[0].text  # type: ignore[union-attr]


async def test_a_person_who_signs_in_elsewhere_comes_back_connected_and_the_call_goes_on(
    gateway: RunningGateway,
) -> None:
    parts = gateway.parts
    async with OAuthServer().running() as oauth:
        machine = ClientCredentials("machine", "s3cret/+", f"{oauth.url}/as")
        new = ServerDefinition("Tracker", "http", url=f"{oauth.url}/mcp", credential=machine)
        server_id = await parts.servers.add(1, new)
        await parts.servers.set_personal(1, server_id, PersonalOAuth())
        await parts.sync.run(1, server_id)
        made = await parts.keys.create(1, "ann", ["all"])
        asked: list[str] = []

        async def elicit(context: Any, params: Any) -> ElicitResult:
            asked.append(params.url)
            async with httpx2.AsyncClient(follow_redirects=True) as browser:
                page = await browser.post(params.url, data={"key": made.key})
                onward = html.unescape(re.findall(r'href="([^"]+)" rel="noreferrer"', page.text)[0])
                assert onward.startswith(oauth.url)
                done = await browser.get(onward)
            assert (done.url.path, "You are connected" in done.text) == ("/connections/done", True)
            return ElicitResult(action="accept")

        headers = {"Authorization": f"Bearer {made.key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
            transport = streamable_http_client(gateway.mcp, http_client=http)
            async with Client(transport, mode="auto", cache=None, elicitation_callback=elicit) as client:
                result = await client.call_tool("tracker__secret", {})
                assert result.content[0].text == "for your eyes only"  # type: ignore[union-attr]
        assert len(asked) == 1
        connected = await parts.connections.page(1, None, (0, 0), 10)
        assert [(each.server_name, each.kind) for each in connected] == [("Tracker", "oauth")]
        assert not any(token in repr(connected) for token in oauth.access_tokens)

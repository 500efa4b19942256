"""Clients that know HTTP+SSE only."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.shared.exceptions import MCPError
from mcp_types import ElicitRequestParams, ElicitResult

from gateway.downstream.protocol.sse.http_sse import mcp_path_of
from tests.downstream.conftest import AddTalker, text_of
from tests.support.gateway import RunningGateway

Connected = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def connected(gateway: RunningGateway) -> Connected:
    """Connects a client of the SDK: `async with connected(path="/sse", key=…, **options) as client`."""

    @contextlib.asynccontextmanager
    async def connect(path: str = "/sse", key: str | None = None, **options: Any) -> AsyncIterator[Client]:
        transport = sse_client(gateway.url + path, headers={"Authorization": f"Bearer {key or gateway.key}"})
        async with Client(transport, mode="legacy", cache=None, **options) as client:
            yield client

    return connect


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/sse", "/mcp"),
        ("/sse/", "/mcp"),
        ("/sse/messages", "/mcp"),
        ("/sse/p/coding", "/mcp/p/coding"),
        ("/sse/p/coding/messages", "/mcp/p/coding"),
        ("/sse/p/", None),
        ("/sse/p/a/b", None),
        ("/ssex", None),
        ("/mcp", None),
    ],
)
def test_each_endpoint_has_its_stream(path: str, expected: str | None) -> None:
    assert mcp_path_of(path) == expected


async def test_tools_are_listed_and_called(
    gateway: RunningGateway, add_talker: AddTalker, connected: Connected
) -> None:
    talker = await add_talker()
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with connected() as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["tool_search", "tool_call"]
        answer = await client.call_tool("tool_search", {"query": "everything"})
        assert talker.slug in text_of(answer)
        result = await client.call_tool(f"{talker.slug}__progress", {}, progress_callback=on_progress)
        assert (text_of(result), seen) == ("done", [1, 2, 3])
        with pytest.raises(MCPError):
            await client.call_tool("no_such_tool", {})


async def test_questions_reach_the_client(add_talker: AddTalker, connected: Connected) -> None:
    talker = await add_talker()
    asked: list[str] = []

    async def answer(context: Any, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="decline")

    async with connected(elicitation_callback=answer) as client:
        await client.call_tool(f"{talker.slug}__ask", {})
    assert len(asked) == 1


async def test_a_key_is_asked_for(gateway: RunningGateway) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url) as http:
        for method, path in (("GET", "/sse"), ("POST", "/sse/messages"), ("GET", "/sse/p/none")):
            response = await http.request(method, path)
            assert response.status_code == 401
            assert response.headers["www-authenticate"].startswith("Bearer")
        key = {"X-API-Key": gateway.key}
        assert (await http.get("/sse/p/none", headers=key)).status_code == 404
        assert (await http.get("/sse/other", headers=key)).status_code == 404
        assert (await http.post("/sse", headers=key, json={})).status_code == 400
        unknown = await http.post("/sse/messages?session_id=00000000000000000000000000000000", headers=key, json={})
        assert unknown.status_code == 404


@contextlib.asynccontextmanager
async def stream(gateway: RunningGateway, key: str) -> AsyncIterator[tuple[str, AsyncIterator[str]]]:
    """The address for messages of a new session, and the lines of its stream after that."""
    headers = {"X-API-Key": key}
    async with (
        httpx2.AsyncClient(base_url=gateway.url, timeout=10) as http,
        http.stream("GET", "/sse", headers=headers) as response,
    ):
        lines = response.aiter_lines()
        async for line in lines:
            if line.startswith("data: "):
                yield line[6:], lines
                return


async def test_nobody_else_speaks_in_a_session(gateway: RunningGateway) -> None:
    other = (await gateway.parts.keys.create(1, "other", ["all"])).key
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    async with stream(gateway, gateway.key) as (address, _), httpx2.AsyncClient(base_url=gateway.url) as http:
        assert address.startswith("/sse/messages?session_id=")
        assert (await http.post(address, json=message, headers={"X-API-Key": other})).status_code == 404
        assert (await http.post(address, json=message, headers={"X-API-Key": gateway.key})).status_code == 202


async def test_a_stream_ends_with_its_key(gateway: RunningGateway) -> None:
    created = await gateway.parts.keys.create(1, "short", ["all"])
    async with stream(gateway, created.key) as (_, lines):
        await gateway.parts.keys.revoke(1, created.id)
        # It would go on for ever otherwise; how it ends is not the end of a whole answer.
        with contextlib.suppress(httpx2.RemoteProtocolError):
            assert not [line async for line in lines if line.startswith("data")]

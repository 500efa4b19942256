"""Clients that take one of the two media types, or do not say which, get answers in what they take."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.datastructures import Headers

from gateway.components import open_components
from gateway.downstream.protocol.replies.accepted_types import AcceptedTypes
from gateway.settings import load_settings
from tests.support.cluster import Cluster
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.listed import add_listed, tool

JSON = "application/json"
EVENTS = "text/event-stream"
VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"


@pytest.fixture(scope="module")
async def gateway(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    """One gateway for all of these tests: none of them changes anything. It has one tool, a calculator."""
    name = await cluster.create()
    folder = tmp_path_factory.mktemp("accepted")
    environ = {
        "MODELGATE_DATABASE_URL": cluster.url(name),
        "MODELGATE_EMBEDDER_TYPE": "builtin",
        "MODELGATE_DATA_DIR": str(folder),
    }
    async with open_components(load_settings(environ=environ)) as parts, running_gateway(parts) as running:
        await add_listed(parts, folder, tool("calculator", "Perform mathematical calculations"))
        yield running
    await cluster.drop(name)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", (True, True)),
        ("*/*", (True, True)),
        (JSON, (True, False)),
        (EVENTS, (False, True)),
        ("Application/JSON; charset=utf-8", (True, False)),
        ("application/*", (True, False)),
        ("text/*", (False, True)),
        (f"{JSON}, {EVENTS}", (True, True)),
        (f"{JSON};q=0, {EVENTS}", (False, True)),
        (f"{JSON};q=x", (True, False)),
        ("text/html", (False, False)),
    ],
)
def test_the_header_is_read_as_http_means_it(accept: str, expected: tuple[bool, bool]) -> None:
    accepted = AcceptedTypes.of(Headers({"accept": accept} if accept else {}))
    assert (accepted.json, accepted.events) == expected


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def modern(method: str, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """A request of the modern era, and its headers."""
    meta = {VERSION_KEY: "2026-07-28", CAPABILITIES_KEY: {}}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    return message(method, **params, _meta=meta), headers


def accepting(accept: str | None) -> dict[str, str]:
    # The HTTP client would name */* by itself.
    return {"Accept": accept or ""}


def result_of(response: httpx2.Response, accept: str | None, usual: str) -> Any:
    """The result in a response, after its media type was checked; `usual` is that for clients that take both."""
    assert response.status_code == 200
    kind = response.headers["content-type"].partition(";")[0]
    assert kind == (accept if accept in (JSON, EVENTS) else usual)
    if kind == JSON:
        return response.json()["result"]
    data = [line[5:] for line in response.text.splitlines() if line.startswith("data:") and line[5:].strip()]
    return json.loads(data[-1])["result"]


ACCEPTS = [JSON, EVENTS, None, "*/*", f"{JSON}, {EVENTS}"]


@pytest.mark.parametrize("accept", ACCEPTS)
async def test_a_one_shot_is_answered_in_what_it_takes(gateway: RunningGateway, accept: str | None) -> None:
    response = await gateway.post(message("tools/list"), **accepting(accept))
    assert result_of(response, accept, JSON)["tools"]


@pytest.mark.parametrize("accept", ACCEPTS)
@pytest.mark.parametrize("method", ["tools/list", "server/discover", "tools/call"])
async def test_a_modern_request_is_answered_in_what_it_takes(
    gateway: RunningGateway, accept: str | None, method: str
) -> None:
    params: dict[str, Any] = {}
    if method == "tools/call":
        params = {"name": "tool_search", "arguments": {"query": "calculate"}}
    body, headers = modern(method, **params)
    response = await gateway.post(body, **headers, **accepting(accept))
    assert result_of(response, accept, JSON)["resultType"] == "complete"


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("accept", ACCEPTS)
async def test_a_session_is_held_in_what_its_client_takes(gateway: RunningGateway, accept: str | None) -> None:
    opening = message(
        "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t", "version": "1"}
    )
    opened = await gateway.post(opening, **accepting(accept))
    assert result_of(opened, accept, EVENTS)["serverInfo"]["name"] == "modelgate"
    session = {"Mcp-Session-Id": opened.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await gateway.post(ready, **session, **accepting(accept))).status_code == 202
    call = message("tools/call", name="tool_search", arguments={"query": "calculate"})
    answered = await gateway.post(call, **session, **accepting(accept))
    assert result_of(answered, accept, JSON)["isError"] is False
    unknown = await gateway.post(message("no/method"), **session, **accepting(accept))
    assert "-32601" in unknown.text
    ended = await gateway.http.delete("/mcp", headers={"X-API-Key": gateway.key, **session, **accepting(accept)})
    assert ended.status_code == 200


@pytest.mark.parametrize("accept", [JSON, EVENTS])
async def test_errors_of_http_stay_what_they_are(gateway: RunningGateway, accept: str) -> None:
    response = await gateway.post(b"{", **accepting(accept))
    assert (response.status_code, response.json()["error"]["code"]) == (400, -32700)


async def test_subscriptions_are_not_had_in_json(gateway: RunningGateway) -> None:
    body, headers = modern("subscriptions/listen", notifications={"toolsListChanged": True})
    response = await gateway.post(body, **headers, **accepting(JSON))
    assert response.status_code == 406


async def test_what_the_gateway_does_not_speak_is_not_served_but_to_a_plain_post(gateway: RunningGateway) -> None:
    html = accepting("text/html")
    assert (await gateway.post(message("tools/list"), **html)).json()["result"]["tools"]
    body, headers = modern("tools/list")
    assert (await gateway.post(body, **headers, **html)).status_code == 406
    opening = message("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "t"})
    assert (await gateway.post(opening, **html)).status_code == 406

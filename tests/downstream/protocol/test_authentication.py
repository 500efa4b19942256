"""Keys at the door: which are let in, and what the others are told."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import httpx2
import pytest

from gateway.access.tenants import tenant_by_slug
from tests.support.gateway import RunningGateway
from tests.support.rows import rows

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list", "Accept": "application/json"}


async def knock(gateway: RunningGateway, headers: dict[str, str]) -> httpx2.Response:
    return await gateway.http.post("/mcp", json=PING, headers=headers)


def refused(response: httpx2.Response, said: str) -> None:
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    body = response.json()
    assert (body["jsonrpc"], body["id"]) == ("2.0", None)
    assert said in body["error"]["message"]


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key"])
async def test_a_key_is_taken_from_either_header(gateway: RunningGateway, header: str) -> None:
    value = f"Bearer {gateway.key}" if header == "Authorization" else gateway.key
    response = await knock(gateway, {header: value})
    assert (response.status_code, response.json()["result"]) == (200, {})


async def test_the_scheme_is_read_in_any_case(gateway: RunningGateway) -> None:
    assert (await knock(gateway, {"authorization": f"bearer {gateway.key}"})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Basic YTpi"}, {"X-API-Key": ""}],
)
async def test_a_missing_key_is_told(gateway: RunningGateway, headers: dict[str, str]) -> None:
    refused(await knock(gateway, headers), "An API key is missing")


@pytest.mark.parametrize("key", ["secret", "mg_12", "mg_" + "g" * 64, "mg_" + "A" * 64, "mg_" + "é" * 64])
async def test_something_else_than_a_key_is_told_and_not_repeated(gateway: RunningGateway, key: str) -> None:
    response = await gateway.http.post("/mcp", json=PING, headers=httpx2.Headers([(b"x-api-key", key.encode("utf-8"))]))
    refused(response, "is not one of this gateway")
    assert key not in response.text


async def test_an_unknown_key_is_told_and_not_repeated(gateway: RunningGateway) -> None:
    key = "mg_" + "0" * 64
    response = await knock(gateway, {"X-API-Key": key})
    refused(response, "The API key is unknown")
    assert key not in response.text


async def test_an_expired_key_is_told(gateway: RunningGateway) -> None:
    tenant = await tenant_by_slug(gateway.parts.database)
    ends = datetime.now(timezone.utc) + timedelta(hours=1)
    key = (await gateway.parts.keys.create(tenant.id, "short", ["all"], ends)).key
    assert (await knock(gateway, {"X-API-Key": key})).status_code == 200
    other = (await gateway.parts.keys.create(tenant.id, "shorter", ["all"], ends)).key
    await rows(gateway.parts.database.url, "UPDATE api_keys SET expires_at = now() WHERE name = 'shorter'")
    refused(await knock(gateway, {"X-API-Key": other}), "The API key has expired")


async def test_a_revoked_key_is_told_from_the_next_request_on(gateway: RunningGateway) -> None:
    tenant = await tenant_by_slug(gateway.parts.database)
    new = await gateway.parts.keys.create(tenant.id, "brief", ["all"])
    assert (await knock(gateway, {"X-API-Key": new.key})).status_code == 200
    await gateway.parts.keys.revoke(tenant.id, new.id)
    response = await knock(gateway, {"X-API-Key": new.key})
    refused(response, "The API key has been revoked")
    assert new.key not in response.text


async def test_both_eras_are_let_in_by_the_same_door(gateway: RunningGateway) -> None:
    for headers in (MODERN, {"Mcp-Session-Id": "1"}, {"Accept": "text/event-stream"}):
        refused(await knock(gateway, headers), "An API key is missing")
    assert (await gateway.http.get("/mcp")).status_code == 401
    assert (await gateway.http.delete("/mcp")).status_code == 401


async def test_a_session_belongs_to_the_key_that_opened_it(gateway: RunningGateway) -> None:
    body = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    accept = {"Accept": "application/json, text/event-stream"}
    session = (await gateway.post(body, **accept)).headers["mcp-session-id"]
    tenant = await tenant_by_slug(gateway.parts.database)
    other = (await gateway.parts.keys.create(tenant.id, "other", ["all"])).key
    headers = {**accept, "mcp-session-id": session, "mcp-protocol-version": "2025-06-18"}
    assert (await gateway.post(PING, **headers)).status_code == 200
    assert (await gateway.post(PING, **{**headers, "X-API-Key": other})).status_code == 404
    assert (await gateway.post(PING, **headers)).status_code == 200

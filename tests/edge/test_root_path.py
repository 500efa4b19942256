"""The gateway below a path, behind proxies that take the path off and proxies that do not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from gateway.admin.accounts.setup import create_setup_token
from gateway.components import open_components
from gateway.edge.root_path import ROOT_PATH, RootPath, parse_root_path
from gateway.errors import SettingsError
from gateway.settings import Settings
from tests.support.gateway import RunningGateway, running_gateway

PREFIX = "/gw/tools"
FORWARDED = {"X-Forwarded-Prefix": PREFIX}


@dataclass(frozen=True, slots=True)
class Proxied:
    """A gateway, how requests reach it through a proxy, and what a proxy adds to them."""

    gateway: RunningGateway
    path: str
    headers: dict[str, str]

    def http(self, **headers: str) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self.gateway.url + self.path,
            headers={**self.headers, **headers},
            follow_redirects=False,
            timeout=30,
        )


WAYS = {
    "set, left on": (PREFIX, PREFIX, {}),
    "set, taken off": (PREFIX, "", {}),
    "named, taken off": ("", "", FORWARDED),
    "named, left on": ("", PREFIX, FORWARDED),
}


@pytest.fixture(params=list(WAYS))
async def proxied(settings: Settings, request: pytest.FixtureRequest) -> AsyncIterator[Proxied]:
    root_path, path, headers = WAYS[request.param]
    server = replace(settings.server, root_path=root_path, trusted_proxies=("127.0.0.1",))
    async with open_components(replace(settings, server=server)) as parts, running_gateway(parts) as gateway:
        yield Proxied(gateway, path, headers)


def addresses(text: str) -> set[str]:
    """What a page links to, loads, sends forms to and asks for, on this host."""
    return set(re.findall(r'(?:href|src|action|hx-[a-z]+|data-(?:map|query|tools|script))="(/[^"]*)"', text))


async def test_every_address_of_the_admin_side_is_below_the_path(proxied: Proxied) -> None:
    token = await create_setup_token(proxied.gateway.parts.database)
    async with proxied.http() as http:
        root = await http.get("/")
        assert (root.status_code, root.headers["location"]) == (303, f"{PREFIX}/admin")
        first = await http.get("/admin")
        assert first.headers["location"].startswith(f"{PREFIX}/signin?next=")
        assert (await http.get(f"/setup?token={token}")).status_code == 200
        made = await http.post("/api/v1/setup", json={"token": token, "name": "ada", "password": "a good password"})
        assert made.status_code == 200
        home = await http.get("/admin")
        assert home.headers["location"] == f"{PREFIX}/admin/t/default/overview"
        waiting = [home.headers["location"]]
        seen: set[str] = set()
        while waiting:
            address = waiting.pop().partition("#")[0].replace("&amp;", "&")
            if address in seen or "export" in address or "{" in address:
                continue
            seen.add(address)
            assert address.startswith(f"{PREFIX}/"), address
            response = await http.get(address.removeprefix(PREFIX))
            assert response.status_code in (200, 303, 404, 405), (address, response.status_code)
            if response.headers.get("content-type", "").startswith("text/html") and len(seen) < 80:
                waiting += addresses(response.text)
        loaded = {address for address in seen if "/admin/static/" in address}
        assert len(loaded) >= 3
        assert {f"{PREFIX}/admin/t/default/{page}" for page in ("servers", "tools", "roles", "keys")} <= seen


async def test_forms_lead_to_pages_below_the_path_and_signing_in_back_to_where_one_was(proxied: Proxied) -> None:
    token = await create_setup_token(proxied.gateway.parts.database)
    async with proxied.http() as http:
        await http.post("/api/v1/setup", json={"token": token, "name": "ada", "password": "a good password"})
        http.cookies.clear()
        asked = await http.get("/admin/t/default/keys?q=a")
        address = asked.headers["location"]
        assert address == f"{PREFIX}/signin?next=/admin/t/default/keys%3Fq%3Da"
        form = {"name": "ada", "password": "a good password"}
        origin = {"Origin": proxied.gateway.url}
        signed_in = await http.post(address.removeprefix(PREFIX), data=form, headers=origin)
        assert signed_in.headers["location"] == f"{PREFIX}/admin/t/default/keys?q=a"
        http.cookies.clear()
        current = {"HX-Request": "true", "HX-Current-URL": f"{proxied.gateway.url}{PREFIX}/admin/t/default/roles"}
        part = await http.get("/admin/t/default/servers", headers=current)
        assert part.headers["hx-redirect"] == f"{PREFIX}/signin?next=/admin/t/default/roles"


async def test_addresses_that_others_are_given_hold_the_path(proxied: Proxied) -> None:
    async with proxied.http() as http:
        document = (await http.get("/oauth/client.json")).json()
    assert document["redirect_uris"] == [f"{proxied.gateway.url}{PREFIX}/oauth/callback"]


async def test_mcp_is_served_below_the_path(proxied: Proxied) -> None:
    async with proxied.http(Authorization=f"Bearer {proxied.gateway.key}") as http:
        url = f"{proxied.gateway.url}{proxied.path}/mcp"
        for mode in ("legacy", "auto"):
            async with Client(streamable_http_client(url, http_client=http), mode=mode, cache=None) as client:
                assert [tool.name for tool in (await client.list_tools()).tools][:2] == ["tool_search", "tool_call"]
        body = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        assert (await http.post("/mcp", json=body)).json()["result"] == {}
        assert (await http.get("/health")).status_code == 200


async def test_a_proxy_that_is_not_trusted_names_no_path(gateway: RunningGateway) -> None:
    async with httpx2.AsyncClient(base_url=gateway.url, headers=FORWARDED) as http:
        assert (await http.get("/")).headers["location"] == "/admin"


@pytest.mark.parametrize("prefix", ["//evil.example", "https://evil.example", "/a/../b", "/a b", '/"><script>', "gw"])
async def test_what_is_no_path_is_not_believed_of_a_trusted_proxy(settings: Settings, prefix: str) -> None:
    server = replace(settings.server, trusted_proxies=("127.0.0.1",))
    headers = {"X-Forwarded-Prefix": prefix}
    async with (
        open_components(replace(settings, server=server)) as parts,
        running_gateway(parts) as gateway,
        httpx2.AsyncClient(base_url=gateway.url, headers=headers) as http,
    ):
        assert (await http.get("/")).headers["location"] == "/admin"


@pytest.mark.parametrize("path", ["gw", "//gw", "/a//b", "/../a", "/a?b", "https://host/gw"])
def test_a_setting_that_is_no_path_stops_the_start(path: str) -> None:
    with pytest.raises(SettingsError, match=r"server\.root_path"):
        parse_root_path(path)


async def test_a_path_that_only_begins_alike_is_another_one() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["path"], scope[ROOT_PATH]))

    for path in ("/gw", "/gw/", "/gw/mcp", "/gwx/mcp", "/mcp"):
        await RootPath(app, "/gw")({"type": "http", "path": path, "raw_path": path.encode()}, None, None)  # type: ignore[arg-type]
    assert [path for path, _ in seen] == ["/", "/", "/mcp", "/gwx/mcp", "/mcp"]

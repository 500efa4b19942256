"""What a request says of its origin in headers, with and without a proxy that is trusted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from gateway.components import open_components
from gateway.edge.address_counts import AddressCounts
from gateway.edge.forwarded_headers import ForwardedHeaders
from gateway.edge.refusals import Refusals
from gateway.edge.trusted_proxies import TrustedProxies
from gateway.settings import Settings
from tests.support.audit import audit_rows
from tests.support.gateway import running_gateway
from tests.support.serving import serving
from tests.support.waiting import until

FORWARDED = [
    ("X-Forwarded-For", "203.0.113.9, 192.0.2.1"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "tools.example.com"),
]


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    assert request.client is not None
    seen = {
        "client": request.client.host,
        "url": str(request.url),
        "forwarded": [name for name in request.headers if name.startswith("x-forwarded")],
    }
    await JSONResponse(seen)(scope, receive, send)


async def _seen(*trusted: str) -> tuple[str, Any]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await ForwardedHeaders(_echo, TrustedProxies(trusted), AddressCounts(0), Refusals())(scope, receive, send)

    async with serving(app) as url, httpx2.AsyncClient() as http:
        return url, (await http.get(f"{url}/x", headers=FORWARDED)).json()


async def test_nobody_is_believed_without_the_setting_not_even_this_machine() -> None:
    url, seen = await _seen()
    assert seen == {"client": "127.0.0.1", "url": f"{url}/x", "forwarded": []}


async def test_a_proxy_that_is_not_named_is_not_believed() -> None:
    url, seen = await _seen("10.0.0.7", "::1")
    assert seen == {"client": "127.0.0.1", "url": f"{url}/x", "forwarded": []}


async def test_a_trusted_proxy_says_where_a_request_comes_from_and_what_it_asked_for() -> None:
    _, seen = await _seen("127.0.0.0/8")
    assert seen == {"client": "192.0.2.1", "url": "https://tools.example.com/x", "forwarded": []}


async def test_a_client_behind_a_proxy_has_so_many_requests_under_way() -> None:
    answering = asyncio.Event()
    arrived = asyncio.Event()

    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        arrived.set()
        await answering.wait()
        await _echo(scope, receive, send)

    refusals = Refusals()
    counting = ForwardedHeaders(waiting, TrustedProxies(("127.0.0.1",)), AddressCounts(1), refusals)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await counting(scope, receive, send)

    async with serving(app) as url, httpx2.AsyncClient(base_url=url) as http, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(http.get, "/x", headers={"X-Forwarded-For": "192.0.2.1"}))
        await arrived.wait()
        assert (await http.get("/x", headers={"X-Forwarded-For": "192.0.2.1"})).status_code == 429
        assert refusals.counts["too_many"] == 1
        answering.set()
        # Another client behind the same proxy, and the same one once its request is answered.
        assert (await http.get("/x", headers={"X-Forwarded-For": "192.0.2.2"})).status_code == 200
        await until(partial(_is_answered, http))


async def _is_answered(http: httpx2.AsyncClient) -> bool:
    return (await http.get("/x", headers={"X-Forwarded-For": "192.0.2.1"})).status_code == 200


@pytest.mark.parametrize(("trusted", "address"), [((), "127.0.0.1"), (("127.0.0.1",), "192.0.2.1")])
async def test_the_trace_and_the_lockout_go_by_the_address_that_is_believed(
    settings: Settings, trusted: tuple[str, ...], address: str
) -> None:
    believing = replace(settings, server=replace(settings.server, trusted_proxies=trusted, allowed_hosts=("*",)))
    async with open_components(believing) as parts, running_gateway(parts) as gateway:
        response = await gateway.http.post("/mcp", headers=[*FORWARDED, ("X-API-Key", "mg_wrong")], content=b"{}")
        assert response.status_code == 401
        (row,) = await audit_rows(parts.database, action="access.refused", tenant=0)
        assert row["address"] == address
        sent = {"name": "nobody", "password": "x"}
        for number in range(21):
            spoofed = [("X-Forwarded-For", f"198.51.100.{number}")]
            last = await gateway.http.post("/api/v1/session", json={**sent, "name": f"n{number}"}, headers=spoofed)
        # Twenty failures of one address are answered, whatever it says that it is.
        assert last.status_code == (401 if trusted else 429)

"""Opening sessions with servers that are particular about it."""

from __future__ import annotations

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.upstream.request import UpstreamRequest
from tests.upstream.conftest import Connect, serving, web
from tests.upstream.servers.forgetful import Dress, Forgetful

REFUSALS = [
    Response(status_code=400),
    Response(status_code=404),
    Response(status_code=405),
    Response(status_code=422),
    Response(status_code=500),
    PlainTextResponse("no", 401),
    JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": -32601, "message": "Method not found"}}, 400),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: f"{refusal.status_code} {refusal.media_type}")
async def test_a_server_may_refuse_to_hear_that_it_is_initialized(connect: Connect, refusal: Response) -> None:
    server = Forgetful(Dress(404))
    server.notification_answers = [refusal, refusal]
    async with serving(server.app) as root, connect(web(f"{root}/mcp")) as session:
        assert await session.list_all("tools/list", "tools")
        await session.request(UpstreamRequest("tools/call", {"name": "count"}))
    assert [message.get("params") for message in server.notified] == [{}, None]
    assert server.opened == 1


async def test_a_server_that_wants_params_in_notifications_gets_them(connect: Connect) -> None:
    server = Forgetful(Dress(404))
    async with serving(server.app) as root, connect(web(f"{root}/mcp")):
        pass
    assert [(message["method"], message["params"]) for message in server.notified] == [
        ("notifications/initialized", {})
    ]


async def test_a_server_that_answers_a_notification_with_a_body_is_as_good_as_any(connect: Connect) -> None:
    server = Forgetful(Dress(404))
    server.notification_answers = [JSONResponse({"jsonrpc": "2.0", "id": None, "result": {}})]
    async with serving(server.app) as root, connect(web(f"{root}/mcp")) as session:
        await session.request(UpstreamRequest("tools/call", {"name": "count"}))
    assert len(server.notified) == 1

"""Servers that forget a session, in whatever words they say so."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from gateway.errors import SessionLostError, UpstreamHttpError, UpstreamReplyError
from gateway.json_codec import Message
from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.spec import ServerSpec
from tests.upstream.conftest import serving, web
from tests.upstream.servers.forgetful import Dress, Forgetful

DRESSES = {
    "404": Dress(404),
    "404 with an error": Dress(404, -32001, "Session not found"),
    "400 with an error": Dress(400, -32000),
    "400 with another error": Dress(400, -32600, "Bad Request"),
    "400 with text": Dress(400, message="nope"),
    "200 with an error": Dress(200, -32000, "Server not initialized"),
    "200 with an error that says nothing": Dress(200, -32603, "Internal error"),
    "200 with wrong params": Dress(200, -32602, "Invalid request parameters"),
    "401": Dress(401, message=""),
    "401 with an error": Dress(401, -32001, "Unauthorized"),
    "403": Dress(403, message=""),
    "409": Dress(409, message=""),
    "410": Dress(410, message="Gone"),
    "412": Dress(412, message=""),
    "422": Dress(422, message='{"detail":"session"}'),
    "another session without a word": Dress(200, -32602, "Invalid request parameters", answers_pings=True),
    "400 in another session without a word": Dress(400, -32600, "Server not initialized", answers_pings=True),
    "an error status in another session": Dress(422, message="", answers_pings=True),
}


@pytest.fixture(params=DRESSES.values(), ids=list(DRESSES))
def dress(request: pytest.FixtureRequest) -> Dress:
    chosen: Dress = request.param
    return chosen


async def call(pool: UpstreamPool, spec: ServerSpec, **arguments: Any) -> Message:
    return await pool.request(spec, UpstreamRequest("tools/call", {"name": "count", "arguments": arguments}))


async def test_a_call_succeeds_after_the_server_restarted(pool: UpstreamPool, dress: Dress) -> None:
    server = Forgetful(dress)
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        await call(pool, spec)
        server.restart()
        await call(pool, spec)
        assert (server.executed, server.opened) == (2, 2)
        assert pool.status(1).state == "connected"
        await pool.close_server(1)


async def test_a_listing_succeeds_after_the_server_restarted(pool: UpstreamPool, dress: Dress) -> None:
    server = Forgetful(dress)
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        await pool.list_all(spec, "tools/list", "tools")
        server.restart()
        if dress.answers_pings and not dress.message:
            # Nothing tells it from a server that refuses to list.
            with pytest.raises(UpstreamHttpError):
                await pool.list_all(spec, "tools/list", "tools")
        else:
            assert len(await pool.list_all(spec, "tools/list", "tools")) == 1
        await pool.close_server(1)


async def test_calls_at_the_same_time_all_succeed(pool: UpstreamPool, dress: Dress) -> None:
    server = Forgetful(dress)
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        await call(pool, spec)
        server.restart()
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(call, pool, spec)
        assert server.executed == 9
        await pool.close_server(1)


async def test_a_check_opens_a_new_session(pool: UpstreamPool, dress: Dress) -> None:
    server = Forgetful(dress)
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        await call(pool, spec)
        server.restart()
        assert (await pool.check(spec)).state == "connected"
        assert server.opened == (1 if dress.answers_pings else 2)
        await pool.close_server(1)


async def test_a_server_that_forgets_every_session_at_once_is_not_healthy(pool: UpstreamPool, dress: Dress) -> None:
    server = Forgetful(dress, forgets_at_once=True)
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        with pytest.raises((SessionLostError, UpstreamReplyError, UpstreamHttpError)):
            await call(pool, spec)
        if not dress.answers_pings:
            assert (await pool.check(spec)).state == "failing"
        assert server.executed == 0
        await pool.close_server(1)


@pytest.mark.parametrize(
    "refusal",
    [
        {"code": -32603, "message": "the database is down"},
        {"code": -32602, "message": "Invalid params: no such file"},
        {"code": -32000, "message": "browser session expired"},
        {"code": -32000, "message": "not initialized: call open first", "status": 400},
        {"status": 400, "message": "bad argument"},
        {"status": 422, "message": "unknown session of the browser"},
    ],
)
async def test_an_error_of_a_tool_is_passed_on_and_the_tool_not_called_again(
    pool: UpstreamPool, refusal: dict[str, Any]
) -> None:
    server = Forgetful(Dress(404))
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        for _ in range(6):
            with pytest.raises((UpstreamReplyError, UpstreamHttpError)):
                await call(pool, spec, **refusal)
        assert (server.executed, server.opened) == (6, 1)
        assert pool.status(1).state == "connected"
        await pool.close_server(1)


async def test_a_server_that_refuses_pings_is_healthy_and_keeps_its_session(pool: UpstreamPool) -> None:
    server = Forgetful(Dress(400, -32000), refuses_pings=True)
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        for _ in range(4):
            assert (await pool.check(spec)).state == "connected"
        opened = server.opened
        for _ in range(3):
            with pytest.raises(UpstreamReplyError):
                await call(pool, spec, code=-32000, message="tool error")
        assert (server.executed, server.opened, opened) == (3, 1, 1)
        server.restart()
        await call(pool, spec)
        assert server.executed == 4
        await pool.close_server(1)


async def test_a_tool_error_of_a_server_that_refuses_pings_runs_the_tool_once(pool: UpstreamPool) -> None:
    server = Forgetful(Dress(400, -32000), refuses_pings=True)
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        with pytest.raises(UpstreamReplyError, match="tool error"):
            await call(pool, spec, code=-32000, message="tool error")
        assert server.executed == 1
        await pool.close_server(1)

"""The stream on which a server speaks of its own accord: offered, not offered, or offered in name only."""

from __future__ import annotations

import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.upstream.pool import UpstreamPool
from gateway.upstream.request import UpstreamRequest
from gateway.upstream.transports import streamable_http
from tests.upstream.conftest import serving, web
from tests.upstream.processes import until
from tests.upstream.servers.forgetful import Dress, Forgetful


class RecordedBackoff:
    """Waits for no time, and keeps how long it would have been asked to."""

    def __init__(self) -> None:
        self.failures: list[int] = []

    def delay(self, failures: int) -> float:
        self.failures.append(failures)
        return 0.01


def events(text: str = "") -> Response:
    return Response(text, media_type="text/event-stream")


@pytest.mark.parametrize(
    "answer",
    [
        Response(status_code=404),
        Response(status_code=405),
        Response(status_code=400),
        Response(status_code=401),
        Response(status_code=406),
        Response(status_code=500),
        Response(status_code=501),
        Response(status_code=204),
        PlainTextResponse("It works!"),
        JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "Method not allowed"}}, 405),
        JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "Session not found"}}, 404),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.media_type}",
)
async def test_a_server_without_a_stream_keeps_its_session(pool: UpstreamPool, answer: Response) -> None:
    server = Forgetful(Dress(404))
    server.streams = [answer]
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        await pool.request(spec, UpstreamRequest("tools/call", {"name": "count"}))
        await until(lambda: server.gets == 1)
        for _ in range(3):
            assert (await pool.check(spec)).state == "connected"
            await pool.request(spec, UpstreamRequest("tools/call", {"name": "count"}))
        assert (server.opened, server.gets) == (1, 1)
        assert pool.status(1).restarts == 0
        await pool.close_server(1)


@pytest.mark.parametrize("text", ["", ": nothing\n\n", "retry: 10\n\n"])
async def test_a_stream_that_ends_at_once_is_asked_for_less_and_less_often(
    pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    backoff = RecordedBackoff()
    monkeypatch.setattr(streamable_http, "_EMPTY", backoff)
    server = Forgetful(Dress(404))
    server.streams = [events(text)]
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        await pool.request(spec, UpstreamRequest("tools/call", {"name": "count"}))
        await until(lambda: len(backoff.failures) >= 5)
        assert backoff.failures[:5] == [1, 2, 3, 4, 5]
        assert (await pool.check(spec)).state == "connected"
        await pool.close_server(1)


async def test_a_stream_that_says_something_and_ends_is_taken_up_soon(
    pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    backoff = RecordedBackoff()
    monkeypatch.setattr(streamable_http, "_EMPTY", backoff)
    server = Forgetful(Dress(404))
    server.streams = [events("id: 1\nretry: 10\ndata:\n\n")] * 4 + [Response(status_code=405)]
    async with serving(server.app) as root:
        await pool.request(web(f"{root}/mcp"), UpstreamRequest("tools/call", {"name": "count"}))
        await until(lambda: server.gets >= 5)
        assert backoff.failures in ([], [1])
        await pool.close_server(1)


@pytest.mark.parametrize("status", [404, 400, 401])
async def test_a_stream_that_is_refused_after_it_was_there_has_the_session_looked_at(
    pool: UpstreamPool, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(streamable_http, "_EMPTY", RecordedBackoff())
    server = Forgetful(Dress(status))
    server.streams = [events("id: 1\nretry: 10\ndata:\n\n"), Response(status_code=status)]
    async with serving(server.app) as root:
        spec = web(f"{root}/mcp")
        await pool.request(spec, UpstreamRequest("tools/call", {"name": "count"}))
        await until(lambda: server.pings >= 1)
        assert pool.status(1).state == "connected"
        server.restart()
        await until(lambda: pool.status(1).state == "idle")
        await pool.request(spec, UpstreamRequest("tools/call", {"name": "count"}))
        assert server.opened == 2
        await pool.close_server(1)

"""URLs that do not say which HTTP transport they speak."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import UpstreamHttpError, UpstreamUnavailableError
from gateway.upstream.request import UpstreamRequest
from tests.upstream.conftest import Connect, serving, web
from tests.upstream.servers.sdk import build


class PostsRefused:
    """The server of an application with `/sse`, which answers a POST there with `status`."""

    def __init__(self, app: ASGIApp, status: int, as_json: bool) -> None:
        self._app = app
        self._status = status
        self._as_json = as_json

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", "/sse"):
            body: Response = Response("Cannot POST /sse", self._status, media_type="text/html")
            if self._as_json:
                body = JSONResponse({"detail": "Method Not Allowed"}, self._status)
            await body(scope, receive, send)
            return
        await self._app(scope, receive, send)


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("status", [400, 404, 405, 406, 415, 422])
async def test_a_url_that_refuses_posts_is_spoken_to_over_sse(connect: Connect, status: int, as_json: bool) -> None:
    app = PostsRefused(build().sse_app(), status, as_json)
    async with serving(app) as root, connect(web(f"{root}/sse")) as session:
        assert session.info.era == "handshake"
        (first, *_) = await session.list_all("tools/list", "tools")
        result = await session.request(UpstreamRequest("tools/call", {"name": first["name"], "arguments": {}}))
        assert "content" in result


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_refusal_that_is_not_about_the_transport_stands(connect: Connect, status: int) -> None:
    async with serving(PostsRefused(build().sse_app(), status, as_json=False)) as root:
        with pytest.raises(UpstreamHttpError) as caught:
            async with connect(web(f"{root}/sse")):
                pass
    assert caught.value.status == status


async def _not_found(_: Request) -> Response:
    return Response("no", 404)


async def _silent_stream(_: Request) -> Response:
    return StreamingResponse(_nothing(), media_type="text/event-stream")


async def _nothing() -> AsyncIterator[str]:
    await anyio.sleep_forever()
    yield ""


async def _elsewhere(_: Request) -> Response:
    return Response("event: endpoint\ndata: http://evil.example/messages\n\n", media_type="text/event-stream")


@pytest.mark.parametrize("get", [_not_found, _silent_stream, _elsewhere])
async def test_where_there_is_no_such_stream_either_the_first_refusal_stands(
    connect: Connect, get: Callable[[Request], Awaitable[Response]]
) -> None:
    app = Starlette(routes=[Route("/mcp", get, methods=["GET"])])
    async with serving(app) as root:
        with pytest.raises(UpstreamHttpError) as caught:
            async with connect(web(f"{root}/mcp", connect_timeout=1.0)):
                pass
    assert caught.value.status in (404, 405)


async def test_a_stream_that_ends_ends_the_session(connect: Connect) -> None:
    async with serving(PostsRefused(build().sse_app(), 405, as_json=False)) as root:
        async with connect(web(f"{root}/sse")) as session:
            pass
        assert session.connected
    with pytest.raises(UpstreamUnavailableError):
        await session.request(UpstreamRequest("ping"))
